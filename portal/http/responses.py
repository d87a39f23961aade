"""The browser's side of HTTP: partial or whole answers, events, toasts, errors.

The only file that spells HX-*. The client never names a block: a view maps the element that htmx wants to fill
(``HX-Target``) to a block of its own template.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Flask, current_app, make_response, render_template, request, session, url_for
from flask import redirect as flask_redirect
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from portal.errors import (
    Forbidden,
    Invalid,
    NeedsAdmin,
    NotFound,
    PortalError,
    Refused,
    RetryLater,
    SourceError,
)
from portal.extensions import db
from portal.http import access
from portal.http.request_body import TooLarge
from portal.locks import CHANGED, is_lost_race
from portal.transactions import roll_back, trouble

SESSION_ENDED = "Not saved: your session has ended. What you entered is still here. Sign in in a new tab, then save again."
"""Said in place. The page that a plain form post ends on cannot say that: there, going back finds what was entered."""
GO_BACK = "Sign in in a new tab, then go back in this one and save again."
_TITLES = {
    400: "This request cannot be read",
    401: "Sign in first",
    403: "Your role does not allow this",
    404: "Page not found",
    405: "This address does not support this request",
    409: "This cannot be done now",
    413: "The request is too large",
    422: "Something needs to be corrected",
    429: "Too many requests",
    500: "Something went wrong inside Rollcall",
    502: "Microsoft does not answer as expected",
    503: "Not possible right now",
}
_BARE_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title} · Rollcall</title></head>'
    '<body><h1>{title}</h1><p>{detail}</p><p><a href="/">Dashboard</a></p></body></html>'
)
POLL_HEADER = "X-Rollcall-Poll"
"""Set by portal.js on requests that a clock made, not a person."""


# -- answers -----------------------------------------------------------------------------------------------------------


def is_partial() -> bool:
    """True for an htmx request that wants a fragment: not boosted, not a history restore."""
    headers = request.headers
    return (
        headers.get("HX-Request") == "true"
        and headers.get("HX-Boosted") != "true"
        and headers.get("HX-History-Restore-Request") != "true"
    )


def render(
    template: str,
    *,
    blocks: Mapping[str, str] | None = None,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> Response:
    """The whole page, or under htmx the block that belongs to the element to be filled.

    ``blocks`` maps element ids to block names of ``template``; an element that is not in it gets the whole page.
    ``status``: 422 for a ``form`` with errors and 200 otherwise, unless given.
    """
    if status is None:
        status = 422 if getattr(context.get("form"), "errors", None) else 200
    block = (blocks or {}).get(request.headers.get("HX-Target", "")) if is_partial() else None
    body = render_block(template, block, **context) if block else render_template(template, **context)
    response = make_response(body, status)
    response.headers.extend(headers or {})
    response.vary.add("HX-Request")
    response.vary.add("HX-Target")
    return response


def fills(element_id: str) -> bool:
    """True when htmx asks for what goes into the element with this id."""
    return is_partial() and request.headers.get("HX-Target") == element_id


def render_block(template: str, block: str, **context: Any) -> str:
    """Render one block of a template with the context of every page.

    jinja2-fragments does not run a template's own imports, which most of our blocks rely on.
    """
    block_template = current_app.jinja_env.get_template(template)
    current_app.update_template_context(context)
    state = block_template.new_context(context)
    page = iter(block_template.root_render_func(state))
    next(page, None)  # runs the template's imports, which stand before anything is written
    return "".join(block_template.blocks[block](state))


def respond(
    *,
    redirect: str,
    events: Mapping[str, Mapping[str, Any]] | None = None,
    toast: str | None = None,
    body: str | None = None,
    status: int = 200,
) -> Response:
    """Success of an action: without htmx a redirect (303); with htmx events, a toast, and a fragment when there is one.

    events: kebab-case names with ids only: headers carry no names and no text of people. Without events or body the
    browser is sent to ``redirect``.
    """
    if not is_partial():
        if toast:
            _flash(toast)
        return flask_redirect(redirect, 303)
    if body is None and (not events or _is_own_page()):
        if toast:
            _flash(toast)
        response = make_response("", 204)
        response.headers["HX-Redirect"] = redirect
        return response
    text = (body or "") + (render_template("_toast.html", text=toast, tone="ok") if toast else "")
    response = make_response(text, status if text else 204)
    if body is None and text:
        response.headers["HX-Reswap"] = "none"  # only the toast, out of band
    if events:
        response.headers["HX-Trigger"] = json.dumps(events, ensure_ascii=True)
    return response


def _is_own_page() -> bool:
    """True when the form was posted from its own whole page, not from a dialog over another one."""
    return urlsplit(request.headers.get("HX-Current-URL", "")).path == request.path


def safe_next(target: str | None, default: str = "/") -> str:
    """``target`` when it is a path of ours, ``default`` otherwise: nobody is sent elsewhere after signing in."""
    if (
        not target
        or not target.startswith("/")
        or target.startswith(("//", "/\\"))
        or re.search(r"[\x00-\x20\\]", target)
    ):
        return default
    parts = urlsplit(target)
    return target if not parts.scheme and not parts.netloc else default


# -- errors ------------------------------------------------------------------------------------------------------------


def error_page(
    status: int,
    detail: str,
    *,
    link: str | None = None,
    title: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error as a page that says where to go; under htmx as a toast, so that what was entered stays.

    link: a local path to where it can be put right; title: other words than the status has. portal.js lets htmx show
    what is aimed at #toasts in spite of the error's status.
    """
    roll_back(db.session())
    title = _TITLES.get(status, "This did not work") if title is None else title
    if is_partial():
        text = render_template(
            "_toast_body.html",
            text=f"{title}. {detail}" if title else detail,
            tone="bad",
            link=link,
            status=status,
        )
        response = make_response(text, status)
        response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#toasts", "beforeend"
    else:
        response = make_response(
            render_template("errors/error.html", status=status, title=title, detail=detail, link=link), status
        )
    response.headers.extend(headers or {})
    return response


def _bare_page(status: int, detail: str) -> Response:
    """An error without a frame, which needs the database for the viewer."""
    return make_response(_BARE_PAGE.format(title=_TITLES[status], detail=detail), status)


def _on_portal_error(error: PortalError) -> Response:
    if isinstance(error, access.NotSignedIn):
        return _to_sign_in()
    if isinstance(error, NotFound):
        return error_page(404, error.advice)
    if isinstance(error, Forbidden):
        return error_page(403, error.advice)
    if isinstance(error, Refused):
        return error_page(409, error.advice, link=error.link)
    if isinstance(error, NeedsAdmin):
        return error_page(409, error.advice, link=url_for("settings.microsoft"))
    if isinstance(error, Invalid):
        return error_page(
            422, " ".join(text for texts in error.errors.values() for text in texts) or error.advice
        )
    if isinstance(error, RetryLater):
        return error_page(
            503,
            error.advice,
            headers={"Retry-After": str(error.seconds)},
            link=request.path if request.method == "GET" else None,
        )
    if isinstance(error, SourceError):
        return error_page(502, error.advice)
    return error_page(500, error.advice)


def _to_sign_in() -> Response:
    """Redirect to the sign-in page and back, unless that would lose what was entered."""
    if request.method not in {"GET", "HEAD"}:
        return _session_ended(401)
    login = url_for("auth.login")
    here = _shown_address() if is_partial() else request.full_path.rstrip("?")
    target = f"{login}?{urlencode({'next': here})}" if here != "/" else login
    if not is_partial():
        return flask_redirect(target, 303)
    response = make_response("", 401)
    if POLL_HEADER not in request.headers:  # a timer must not navigate away from a half-filled form
        response.headers["HX-Redirect"] = target
    return response


def _session_ended(status: int) -> Response:
    """Refuse a form because the session has ended, and explain how to keep what was entered."""
    login = url_for("auth.login")
    if is_partial():
        return error_page(status, SESSION_ENDED, link=login, title="")
    return error_page(status, GO_BACK, link=login, title="Not saved: your session has ended")


def _shown_address() -> str:
    """The local path of the page that htmx asks from."""
    parts = urlsplit(request.headers.get("HX-Current-URL", ""))
    return safe_next(f"{parts.path}?{parts.query}" if parts.query else parts.path)


def _on_http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if isinstance(error, CSRFError):
        return _session_ended(400)
    texts = {
        404: "The page may have moved, or its content was deleted.",
        405: "Go back and use the page's own buttons.",
        413: "Send a smaller file: at most 32 MB.",
        429: "Wait a minute, then try again.",
    }
    if isinstance(error, TooLarge):
        texts[413] = error.advice
    headers = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}}
    return error_page(
        status, texts.get(status, error.description or "Go back and try again."), headers=headers
    )


def _on_crash(error: Exception) -> Response:
    later = trouble(error)
    if later is not None:
        return _on_trouble(later)
    if is_lost_race(error):
        return error_page(409, CHANGED)
    current_app.logger.error("action=crash endpoint=%s", request.endpoint, exc_info=error)
    detail = "Nothing was changed. Try again; if this continues, contact your portal administrator."
    try:
        return error_page(500, detail)
    except Exception as second:  # without a database there is no frame either
        current_app.logger.error("action=crash endpoint=error_page", exc_info=second)
        return _bare_page(500, detail)


def _on_trouble(error: RetryLater) -> Response:
    """A lock or the database cannot be had: 503, and when to come back."""
    current_app.logger.warning("action=unavailable endpoint=%s seconds=%d", request.endpoint, error.seconds)
    try:
        return _on_portal_error(error)
    except SQLAlchemyError:
        response = _bare_page(503, error.advice)
        response.headers["Retry-After"] = str(error.seconds)
        return response


def init_errors(app: Flask) -> None:
    """Answer errors as pages or toasts; those of the API as ``api_problems`` says."""
    app.register_error_handler(PortalError, _unless_api(_on_portal_error))
    app.register_error_handler(HTTPException, _unless_api(_on_http_error))
    app.register_error_handler(Exception, _unless_api(_on_crash))


def _flash(text: str) -> None:
    session["toasts"] = [*session.get("toasts", []), text][-3:]


def take_flashes() -> list[str]:
    """The toasts that a redirect left for the next whole page, which shows each once."""
    if is_partial() or not session.get("toasts"):
        return []
    toasts: list[str] = session.pop("toasts")
    return toasts


def _unless_api(handler: Any) -> Any:
    @functools.wraps(handler)
    def handle(error: Any) -> Any:
        if access.is_for_programs():
            from portal.http.api_problems import answer

            return answer(error)
        return handler(error)

    return handle
