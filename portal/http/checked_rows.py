"""Which rows of a list a posted form is about.

Its fields: ``id`` for each checked row, or ``all_filtered``; ``filtered``, the list's query string.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl

from flask import request

from portal.errors import Invalid
from portal.http.listing import MAX_PER_PAGE, Listing, ListSpec, parse

LONGEST_ID = 64


def filtered_list(spec: ListSpec, extra: Sequence[str] = ()) -> Listing:
    """The list that the check boxes stood in."""
    pairs = parse_qsl(request.form.get("filtered", "").lstrip("?"))
    return parse(dict(pairs), spec, strict=False, extra=extra)


def posted_ids() -> list[str]:
    """The ids of the checked rows, each once, in their order."""
    ids = dict.fromkeys(request.form.getlist("id"))
    return [row_id for row_id in ids if "\x00" not in row_id and len(row_id) <= LONGEST_ID]


def checked_ids(noun: str = "row", *, is_page: bool = False) -> list[str]:
    """The ids of the checked rows. Raises Invalid for none, and with ``is_page`` for more than a page has."""
    ids = posted_ids()
    if not ids:
        raise Invalid({"id": [f"Check at least one {noun} first."]})
    if is_page and len(ids) > MAX_PER_PAGE:
        raise Invalid({"id": [f"Check at most {MAX_PER_PAGE}; “Select all” exports more."]})
    return ids


def chosen_ids(spec: ListSpec, ids_of: Callable[[Listing], list[str]]) -> list[str]:
    """The ids of the checked rows, or of all that the list's filters fit. Raises Invalid for none."""
    if not request.form.get("all_filtered"):
        return checked_ids()
    ids = ids_of(filtered_list(spec))
    if not ids:
        raise Invalid({"id": ["Check at least one row first."]})
    return ids


def exported(spec: ListSpec, ids_of: Callable[[Listing], list[str]]) -> tuple[Listing, list[str] | None]:
    """The list to export, and the ids of the checked rows; None for all that are listed. Raises as ``chosen_ids``."""
    if request.method != "POST":
        return parse(request.args, spec, strict=False), None
    return filtered_list(spec), chosen_ids(spec, ids_of)
