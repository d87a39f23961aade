"""CSV files over HTTP: a download that says whose it is and of which day, and is recorded. What stands in it: ``csvio``."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import quote

from flask import Response, current_app, request
from sqlalchemy import select

from portal import audit
from portal.clock import utcnow
from portal.errors import Invalid
from portal.extensions import db, mark_write
from portal.http.csv_cells import BOM
from portal.http.listing import Listing
from portal.models import Organization

MAX_NAME = 60
Kind = Literal["csv", "json"]
_TYPES: dict[Kind, str] = {"csv": "text/csv", "json": "application/json"}


def download(
    pieces: Iterable[str],
    *about: str,
    what: str,
    object_type: str = "",
    object_id: str = "",
    bom: bool = True,
) -> Response:
    """``as_file`` of data that leaves the portal. That it was taken, and how large it is, is recorded."""
    text = "".join(pieces)
    rows = max(0, sum(1 for _ in csv.reader(io.StringIO(text, newline=""))) - 1)
    response = as_file(text, *about, bom=bom)
    record_export(what, rows, len(response.data), object_type=object_type, object_id=object_id)
    return response


def as_file(text: str, *about: str, bom: bool = True, kind: Kind = "csv") -> Response:
    """The answer that a browser saves as ``<about>-<about>-2026-01-31.<kind>``; nothing is said for a blank ``about``.

    bom: begin with a byte order mark, without which Excel takes UTF-8 for something else.
    """
    response = current_app.response_class((BOM if bom else "") + text, mimetype=_TYPES[kind])
    name = "-".join([*(part for word in about if (part := _slug(word))), f"{utcnow():%Y-%m-%d}"])
    plain = name.encode("ascii", "replace").decode()  # for what does not know the other spelling
    header = f'attachment; filename="{_slug(plain)}.{kind}"'
    if plain != name:
        header += f"; filename*=UTF-8''{quote(f'{name}.{kind}')}"
    response.headers["Content-Disposition"] = header
    return response


def record_export(what: str, rows: int, size: int, *, object_type: str = "", object_id: str = "") -> None:
    """Record, in a transaction of its own after the reading one, that ``rows`` rows left the portal (``size`` bytes)."""
    session = db.session()
    session.rollback()
    mark_write(session)
    audit.record(
        session, "exported", object_type=object_type, object_id=object_id, what=what, rows=rows, bytes=size
    )
    session.commit()


def customer(query: Listing) -> str:
    """For a file's name: the Organization that a list over all of them is filtered by; "" for none."""
    organization_id = query.filters.get("organization_id", "")
    if not organization_id:
        return ""
    return db.session.scalar(select(Organization.name).where(Organization.id == organization_id)) or ""


def asks_for_bom() -> bool:
    """Whether the query says ``bom=true``. Raises Invalid for anything but true and false."""
    flag = request.args.get("bom", "false")
    if flag not in {"true", "false"}:
        raise Invalid({"bom": ["Must be true or false."]}, "The query has parameters that cannot be used.")
    return flag == "true"


def _slug(text: str) -> str:
    """A part of a file name: letters and digits of any script, small, the rest as dashes."""
    slug = re.sub(r"[\W_]+", "-", text.lower())
    return slug.strip("-")[:MAX_NAME].strip("-")
