"""CSV files over HTTP: an upload that is taken as a whole or not at all, and a download. What stands in them: ``csvio``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Response, current_app
from flask_wtf.file import FileField, FileRequired

from portal.errors import Invalid
from portal.extensions import db
from portal.forms import Form


class ImportForm(Form):
    """A CSV file."""

    file = FileField("CSV file", validators=[FileRequired("Choose a file.")])


def download(pieces: Iterable[str], name: str) -> Response:
    """The answer that a browser saves as ``name``.csv."""
    response = current_app.response_class("".join(pieces), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


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
