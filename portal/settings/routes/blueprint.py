"""What the pages of the settings share: their blueprint, and how a page and a question before a deed are drawn."""

from __future__ import annotations

from flask import Blueprint, url_for
from werkzeug.wrappers import Response

from portal.http import responses
from portal.http.forms import Form

bp = Blueprint("settings", __name__, url_prefix="/settings")


def page(name: str, form: Form | None, **context: object) -> Response:
    """One page of the settings; 422 when its form was refused."""
    return responses.render(f"settings/{name}.html", form=form, section=name, **context)  # type: ignore[arg-type]


def ask(
    section: str,
    question: str,
    *sentences: str,
    button: str,
    action: str,
    keep: str = "Keep it",
    values: dict[str, str] | None = None,
) -> Response:
    """The question before an account or a token goes; ``section``: people or tokens, where “keep” leads back to."""
    return responses.render(
        "settings/ask.html",
        blocks={"dialog": "dialog"},
        section=section,
        question=question,
        sentences=sentences,
        button=button,
        action=action,
        keep=keep,
        back=url_for(".list_people" if section == "people" else ".list_tokens"),
        values=values or {},
    )
