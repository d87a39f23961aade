"""CSV files over HTTP: an upload that is taken as a whole or not at all, and a download, which is recorded. What stands in them: ``csvio``."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from typing import Any

from flask import Response, current_app
from flask_wtf.file import FileField, FileRequired

from portal import audit
from portal.errors import Invalid
from portal.extensions import db, mark_write
from portal.forms import Form


class ImportForm(Form):
    """A CSV file."""

    file = FileField("CSV file", validators=[FileRequired("Choose a file.")])


def download(
    pieces: Iterable[str], name: str, *, what: str, object_type: str = "", object_id: str = ""
) -> Response:
    """The answer that a browser saves as ``name``.csv. That it was taken, and how large it is, is recorded."""
    text = "".join(pieces)
    rows = max(0, sum(1 for _ in csv.reader(io.StringIO(text, newline=""))) - 1)
    response = current_app.response_class(text, mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    record_export(what, rows, len(response.data), object_type=object_type, object_id=object_id)
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


def take(form: ImportForm, read: Callable[[bytes], dict[str, Any]]) -> dict[str, Any] | None:
    """What ``read`` says of the file that was sent, committed; None, with the reason in ``form``, when it is refused.

    After a refusal nothing that was loaded before is usable: load it anew.
    """
    if not form.submitted():
        return None
    try:
        result = read(form.file.data.read())
    except Invalid as error:
        db.session.rollback()
        form.show(error)
        return None
    db.session.commit()
    return result
