"""Errors of the API as RFC 9457 problem documents: one table for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from itertools import islice
from typing import Any

from flask import Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException

from portal.errors import (
    Forbidden,
    Invalid,
    NeedsAdmin,
    NotFound,
    PortalError,
    Refused,
    RetryLater,
    SourceError,
    SourceThrottled,
)
from portal.extensions import db
from portal.http.access import NotSignedIn
from portal.http.request_body import TooLarge
from portal.locks import CHANGED, is_lost_race
from portal.transactions import roll_back, trouble

MOST_ERRORS = 200
"""Fields that an answer names: a document of thousands may be wrong in each."""


def answer(error: Exception) -> Response:
    """The problem document of an error raised under ``/api/v1``; the session is rolled back."""
    roll_back(db.session())
    later = trouble(error)
    if later is not None:
        current_app.logger.warning(
            "action=unavailable endpoint=%s seconds=%d", request.endpoint, later.seconds
        )
    error = later or error
    match error:
        case NotSignedIn():
            return problem(401, "A known bearer token is needed.", headers={"WWW-Authenticate": "Bearer"})
        case NotFound():
            return problem(404, error.advice)
        case Forbidden():
            return problem(403, error.advice)
        case Refused():
            return problem(409, error.advice, members={"link": error.link} if error.link else {})
        case NeedsAdmin():
            return problem(409, error.advice)
        case Invalid():
            return problem(
                422, error.advice, members={"errors": dict(islice(error.errors.items(), MOST_ERRORS))}
            )
        case RetryLater():
            return problem(503, error.advice, headers={"Retry-After": str(error.seconds)})
        case SourceThrottled():
            return problem(503, error.advice, headers={"Retry-After": "60"})
        case SourceError():
            return problem(502, error.advice, members={"code": error.code} if error.code else {})
        case PortalError():
            return problem(500, error.advice)
        case HTTPException():
            return _http(error)
        case _ if is_lost_race(error):
            return problem(409, CHANGED)
        case _:
            current_app.logger.error("action=crash endpoint=%s", request.endpoint, exc_info=error)
            return problem(
                500, "Something went wrong inside Rollcall. Nothing was changed; the log says more."
            )


def problem(
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, Any] | None = None,
) -> Response:
    """One problem document."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **(members or {}),
    }
    response = jsonify(body)
    response.status_code = status
    response.content_type = "application/problem+json"
    response.headers.extend(headers or {})
    return response


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    texts = {
        400: "The request cannot be read. Its body must be JSON.",
        404: "There is nothing at this address.",
        405: "This address does not support this method.",
        413: "The body is too large: at most 32 MB.",
        415: "The body must be application/json.",
        429: "Too many requests. Wait a minute.",
    }
    if isinstance(error, TooLarge):
        texts[413] = error.advice
    response = problem(status, texts.get(status, error.description or ""))
    if error.response is None:
        for name, value in error.get_headers():
            if name.lower() in {"allow", "retry-after"}:
                response.headers[name] = value
    return response
