"""Errors named by what the caller must do. Each message is a sentence an administrator can act on.

One table per door maps them: ``web`` to pages, ``api.problems`` to problem documents, ``cli`` to exit codes, the
runner to a run's status.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime


class PortalError(Exception):
    """Base of everything Rollcall raises on purpose. ``advice`` is the whole sentence shown to people."""

    def __init__(self, advice: str) -> None:
        super().__init__(advice)
        self.advice = advice


class NotFound(PortalError):
    """There is no such object, or not for this account (404)."""


class Forbidden(PortalError):
    """The role is too low (403). ``needed`` is the role that may."""

    def __init__(self, advice: str, *, needed: str = "administrator") -> None:
        super().__init__(advice)
        self.needed = needed


class Refused(PortalError):
    """The state of things forbids it: 409. ``link`` leads to where it can be put right (a local path)."""

    def __init__(self, advice: str, *, link: str | None = None) -> None:
        super().__init__(advice)
        self.link = link


class Invalid(PortalError):
    """Bad input: 422. ``errors`` maps a field name to its sentences."""

    def __init__(
        self, errors: Mapping[str, list[str]], advice: str = "Some fields need to be corrected."
    ) -> None:
        super().__init__(advice)
        self.errors = dict(errors)

    def sentences(self) -> str:
        """What is wrong with all fields, in one line."""
        return " ".join(text for texts in self.errors.values() for text in texts)


class RetryLater(PortalError):
    """Something must happen first, and it is under way: 503 with Retry-After (seconds)."""

    def __init__(self, advice: str, *, seconds: int = 5) -> None:
        super().__init__(advice)
        self.seconds = seconds


class NeedsAdmin(PortalError):
    """An administrator has a step to do first, for instance entering the app registration (409)."""


class SourceError(PortalError):
    """The read failed; nothing may be concluded from what was not read (L2).

    ``cause`` says what happened; ``remedy`` which button helps, as ``{button}``, "" when none does; ``code`` is Microsoft's
    code in small type ("" when there is none). ``advice`` is all of it, for the page of a connected tenant.
    ``is_connection`` tells a broken connection (secret, consent, tenant) from trouble with one read.
    """

    is_connection = False

    def __init__(
        self, cause: str, *, remedy: str = "", code: str = "", retry_at: datetime | None = None
    ) -> None:
        self.cause = f"{cause} ({code})" if remedy and code else cause
        self._parts = cause, remedy, code if remedy else ""
        self.code = code
        self.retry_at = retry_at
        super().__init__(self.advise("Reconnect"))

    def advise(self, button: str) -> str:
        """The whole advice for a page on which the button that helps is called ``button``."""
        cause, remedy, code = self._parts
        return " ".join(filter(None, (cause, remedy.format(button=button), code and f"({code})")))


class SourceAuthError(SourceError):
    """Credential, consent or tenant problem: retrying alone will not help (C4, G2)."""

    is_connection = True


class SourceThrottled(SourceError):
    """Microsoft asks to wait longer than this run can: ``retry_at`` says until when (G5)."""


class SourceTransient(SourceError):
    """Microsoft cannot be reached or keeps failing; the next run tries again."""


class SourceGone(SourceError):
    """The delta token was refused (410, syncStateNotFound, resyncRequired): full read (G3)."""


class SourcePermissionMissing(SourceError):
    """An application permission is missing; ``permission`` names it when known."""

    def __init__(self, advice: str, *, permission: str = "", code: str = "") -> None:
        super().__init__(advice, code=code)
        self.permission = permission


class SourceLicenseMissing(SourceError):
    """The tenant has no license for this data (D3); never an error of the run."""


class SourceBadAnswer(SourceError):
    """The answer is malformed, or a link leads to a foreign host (G6)."""


class Stopped(Exception):
    """The run was told to stop: the sync was disabled (L5) or the process ends."""


class LeaseLost(Exception):
    """Another worker holds the Microsoft Tenant now: write nothing more."""


class SourceRejected(SourceError):
    """Microsoft refused the request itself (4xx); ``status`` is the HTTP status."""

    def __init__(self, advice: str, *, status: int, code: str = "") -> None:
        super().__init__(advice, code=code)
        self.status = status
