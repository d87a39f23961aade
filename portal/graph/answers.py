"""Graph's answers: read as JSON, and refusals as the Source errors that say what to do (docs/microsoft-graph.md, 10.3)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import orjson
import requests

from portal.errors import (
    NotFound,
    SourceAuthError,
    SourceBadAnswer,
    SourceError,
    SourceGone,
    SourceLicenseMissing,
    SourcePermissionMissing,
    SourceRejected,
    SourceThrottled,
    SourceTransient,
)

HALF_ESCAPE, HALVES = re.compile(rb"\\u[dD][89a-fA-F]"), re.compile("[\ud800-\udfff]")
GONE_CODES = frozenset({"syncStateNotFound", "resyncRequired", "SyncStateNotFound", "ResyncRequired"})
NOT_OFFERED = "Microsoft Graph does not offer this in this tenant"


class ObjectMissing(SourceError, NotFound):
    """404: the object was deleted."""

    def __init__(self, advice: str, *, code: str = "") -> None:
        SourceError.__init__(self, advice, code=code)


def failure_of(
    status: int | None, body: Any, now: datetime, wait_seconds: float, *, is_broken: bool = False
) -> SourceError:
    """What a refused request raises. ``status`` None: no answer, or with ``is_broken`` one that is no JSON."""
    code, message = error_code(body)
    if status is None and is_broken:
        return SourceTransient(
            "Microsoft Graph's answers are incomplete or not JSON. Check MICROSOFT_GRAPH_URL and any proxy in between, "
            "then try again; syncs do so by themselves.",
            code="malformed answer",
        )
    if status is None:
        return SourceTransient(
            "Microsoft Graph cannot be reached. Check this server's network and proxy, then try again; syncs do so by themselves.",
            code="unreachable",
        )
    if status == 429 or wait_seconds > 0:  # 503 with a Retry-After longer than a run waits (G5)
        return SourceThrottled(
            "Microsoft asks the portal to slow down. Try again in a few minutes; syncs continue by themselves, and nothing is lost.",
            code=code or str(status),
            retry_at=now + timedelta(seconds=wait_seconds),
        )
    if status == 410 or code in GONE_CODES:
        return SourceGone(
            "Microsoft no longer knows the state of the last read. The portal reads everything again.",
            code=code,
        )
    if status == 401:
        return _unauthorized(code)
    if status == 403:
        return _forbidden(code, message)
    if status == 404:
        return ObjectMissing("Microsoft no longer has this object.", code=code)
    if status >= 500 and status != 501:
        retry_at = now + timedelta(seconds=wait_seconds) if wait_seconds else None
        return SourceTransient(
            f"Microsoft Graph keeps answering with an error ({status}). Try again in a minute; syncs do so by themselves.",
            code=code or str(status),
            retry_at=retry_at,
        )
    what = NOT_OFFERED if status == 501 else "Microsoft Graph refused a request of the portal"
    return SourceRejected(f"{what} ({code or status}).", status=status, code=code)


def error_code(body: Any) -> tuple[str, str]:
    """(code, message) of Graph's error shape: the deepest code; Intune hides one as JSON in the message."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", ""
    code, message = str(error.get("code") or ""), str(error.get("message") or "")
    inner = error.get("innerError") or error.get("innererror")
    while isinstance(inner, dict):
        inner_code = inner.get("code")
        if isinstance(inner_code, str) and inner_code and not inner_code.isdigit():
            code = inner_code
        inner = inner.get("innerError") or inner.get("innererror")
    if message.startswith("{"):
        try:
            hidden = orjson.loads(message)
        except orjson.JSONDecodeError:
            hidden = None
        if isinstance(hidden, dict) and code in {"", "UnknownError"}:
            code = str(hidden.get("ErrorCode") or hidden.get("code") or code)
    return code[:100], message


def _unauthorized(code: str) -> SourceError:
    if code == "Forbidden":
        return SourcePermissionMissing("An application permission is missing for this data.", code=code)
    if code == "Authorization_IdentityNotFound":
        return SourceAuthError(
            "The portal's app is not in this Microsoft tenant yet. Wait a few minutes after consent.",
            remedy="Or press {button}.",
            code=code,
        )
    return SourceAuthError(
        f"Microsoft Graph does not accept the portal's token. Check that the right cloud is chosen, then check the connection. ({code or 401})",
        code=code or "401",
    )


def _forbidden(code: str, message: str) -> SourceError:
    if code == "Authentication_RequestFromNonPremiumTenantOrB2CTenant":
        return SourceLicenseMissing(
            "This tenant has no Entra ID P1, so Microsoft does not provide this.", code=code
        )
    permission = next(
        (
            word
            for word in (
                "AuditLog.Read.All",
                "Organization.Read.All",
                "User.Read.All",
                "GroupMember.Read.All",
                "Domain.Read.All",
            )
            if word in message
        ),
        "",
    )
    named = f"{permission} is missing" if permission else "An application permission is missing"
    return SourcePermissionMissing(
        f"{named}. Add it to the app registration and let the customer's administrator consent again. ({code or 403})",
        permission=permission,
        code=code or "403",
    )


class Answer:
    """A response whose JSON is read once: a page of people is large."""

    def __init__(self, response: requests.Response) -> None:
        self.response = response

    @cached_property
    def document(self) -> Any:
        """The JSON. A name that was cut within an emoji, so that half of it is left, never costs the page (G8). Raises ValueError."""
        content = self.response.content
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            if not HALF_ESCAPE.search(content):
                raise
            mended = json.loads(content)  # puts up with halves, where orjson refuses the whole document
            return orjson.loads(HALVES.sub("\ufffd", json.dumps(mended, ensure_ascii=False)))

    def is_whole(self) -> bool:
        """False for JSON that breaks off or is none: then the same request is tried again."""
        kind = self.response.headers.get("Content-Type", "json")
        if "json" not in kind.lower():
            return "text/plain" in kind
        try:
            _ = self.document
        except ValueError:
            return False
        return True


def object_of(answer: Answer) -> dict[str, Any]:
    """A JSON object. Raises SourceBadAnswer for anything else."""
    try:
        document = answer.document
    except ValueError:
        raise bad_answer("no JSON") from None
    if not isinstance(document, dict):
        raise bad_answer("no JSON object")
    return document


def json_or_empty(answer: Answer | None) -> Any:
    """Whatever JSON an error came with; nothing when it has none."""
    try:
        return orjson.loads(answer.response.content) if answer is not None else {}
    except orjson.JSONDecodeError:
        return {}


def batch_item(answer: dict[str, Any]) -> tuple[int | None, Mapping[str, str], dict[str, Any]]:
    """(status, headers, body) of one answer in a batch; nothing for what is missing or of another kind."""
    status, headers, body = answer.get("status"), answer.get("headers"), answer.get("body")
    return (
        status if isinstance(status, int) else None,
        {str(k): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {},
        body if isinstance(body, dict) else {},
    )


def bad_answer(what: str, *, code: str = "malformed answer") -> SourceBadAnswer:
    """The error of an answer that no rule of Graph allows."""
    return SourceBadAnswer(
        f"Microsoft's answer cannot be used ({what}). Nothing was changed; the portal tries again at the next run.",
        code=code,
    )
