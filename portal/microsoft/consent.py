"""Admin consent (C2): a random single-use state, and a tenant that is never believed from the query string.

docs/microsoft-graph.md, 1.3, says why. Right after consent Microsoft may still be copying the app to the tenant.
So the answer is taken once (``finish``), and the proof tried for five minutes, ever more rarely, by the page that waits
(``attempt``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode

from sqlalchemy import select, update

from portal import audit
from portal.clock import utcnow
from portal.crypto import hash_token, new_token
from portal.errors import (
    Invalid,
    PortalError,
    Refused,
    SourceError,
    SourcePermissionMissing,
    SourceThrottled,
    SourceTransient,
)
from portal.extensions import db
from portal.graph.clouds import CLOUDS
from portal.graph.explain import advice_of, consent_error
from portal.microsoft import gateway, service
from portal.microsoft.gateway import Proof
from portal.models import ConsentRequest, MicrosoftTenant
from portal.models.microsoft import IS_CONNECTED
from portal.runtime import runtime
from portal.text import domain_key, is_guid
from portal.transactions import begin_write

LIFE = timedelta(minutes=15)
PATIENCE = timedelta(minutes=5)
START = "/microsoft-tenants/connect"
NOT_OURS = (
    "This answer was not requested in this browser, has been used already, or came too late. Start again."
)


def begin(
    *, directory_id: str, cloud: str, browser: str, redirect_uri: str, is_reconnect: bool = False
) -> str:
    """The address of Microsoft's consent page. Raises Invalid, Refused. ``known``: the tenant is connected, this is a Reconnect."""
    if cloud not in CLOUDS:
        raise Invalid({"cloud": ["Must be one of: " + ", ".join(CLOUDS) + "."]})
    directory = domain_key(directory_id)
    if directory and not is_reconnect:
        directory = service.checked_directory(directory, cloud)
    registration = service.registration_or_invalid(cloud)
    if "." in directory:  # what consents must be the tenant that the domain belongs to now
        directory = service.directory_of(directory, cloud)
    token, now = new_token(), utcnow()
    begin_write(db.session())
    db.session.add(
        ConsentRequest(
            state_hash=hash_token(token),
            session_id=browser,
            account_id=audit.current_actor().name[:36],
            directory_id=directory or None,
            cloud=cloud,
            created_at=now,
            expires_at=now + LIFE,
        )
    )
    return _address(registration.client_id, cloud, directory, redirect_uri=redirect_uri, state=token)


def link_to_send(client_id: str, redirect_uri: str, cloud: str) -> str:
    """Microsoft's consent page for a customer's administrator who has no account here; afterwards connect by tenant ID.

    It carries no state, so that nothing is connected by its answer.
    """
    return _address(client_id, cloud, "", redirect_uri=redirect_uri)


def _address(client_id: str, cloud: str, directory: str, **query: str) -> str:
    login = gateway.cloud_of(runtime().settings, cloud)
    parameters = {"client_id": client_id, "scope": f"{login.graph_url}/.default", **query}
    return f"{login.login_url}/{directory or 'organizations'}/v2.0/adminconsent?{urlencode(parameters)}"


class NotYet(PortalError):
    """Microsoft does not know of the consent yet: try again in ``seconds``."""

    def __init__(self, advice: str, *, seconds: int) -> None:
        super().__init__(advice)
        self.seconds = seconds


def finish(answer: Mapping[str, str], *, browser: str) -> str:
    """Check Microsoft's answer. Returns the argument of ``attempt``. Raises Refused for a bad state or a declined consent."""
    now = utcnow()
    digest = hash_token(answer.get("state", ""))
    begin_write(db.session())
    row = db.session.get(ConsentRequest, digest)
    if row is None or row.session_id != browser or row.used_at is not None or row.expires_at <= now:
        raise Refused(NOT_OURS, link=START)
    expected = row.directory_id
    used = db.session.execute(
        update(ConsentRequest)
        .where(ConsentRequest.state_hash == digest, ConsentRequest.used_at.is_(None))
        .values(used_at=now, directory_id=None)
    )
    if used.rowcount != 1:  # type: ignore[attr-defined]
        raise Refused(NOT_OURS, link=START)
    db.session.commit()  # single use, whatever comes next; and nothing is held while Microsoft is asked (T6)
    if "error" in answer:
        raise Refused(
            consent_error(answer["error"], answer.get("error_description", "")), link=_again(expected)
        )
    candidate = answer.get("tenant", "").strip().lower()
    if answer.get("admin_consent", "").lower() != "true" or not is_guid(candidate):
        raise Refused("Microsoft's answer contains no consent. Start again.", link=_again(expected))
    if expected is not None and candidate != expected:
        raise Refused(
            "Consent was given for another Microsoft tenant, so nothing was connected. "
            "Ask an administrator of the right tenant to sign in.",
            link=_again(expected),
        )
    begin_write(db.session())
    db.session.execute(
        update(ConsentRequest).where(ConsentRequest.state_hash == digest).values(directory_id=candidate)
    )
    db.session.commit()
    return digest


def attempt(request_id: str, *, browser: str) -> MicrosoftTenant:
    """Prove the tenant that consented and connect it. The caller commits.

    Raises NotYet while it may still come, Refused and Invalid when it will not.
    """
    row = waiting(request_id, browser=browser)
    candidate, cloud, since = row.directory_id or "", row.cloud, row.used_at or utcnow()
    registration = service.registration_or_invalid(cloud)
    db.session.rollback()  # nothing is held while Microsoft is asked (T6)
    try:
        proof = gateway.prove(runtime().settings, registration, directory_id=candidate, cloud=cloud)
    except SourceError as error:
        advice, link = error.cause, _again(candidate)
        if not _may_pass(error):
            raise Refused(advice, link=link) from error
        waited = utcnow() - since
        if waited < PATIENCE:
            raise NotYet(advice, seconds=_pause(waited)) from error
        advice += f" The portal tried for {PATIENCE.seconds // 60} minutes. When the reason is gone, "
        raise Refused(
            f"{advice}{'check the connection' if link != START else 'connect by tenant ID'}: consent need not be given again.",
            link=link,
        ) from error
    begin_write(db.session())
    return save(proof, cloud)


def save(proof: Proof, cloud: str) -> MicrosoftTenant:
    """Connect the tenant that was proven, or reconnect it: also when another tab of the same page was a moment faster.

    The caller commits.
    """
    present = service.connected(proof.directory_id)
    if present is None:
        try:
            return service.add(proof, cloud)
        except Refused:
            present = service.connected(proof.directory_id)
            if present is None:
                raise
    service.reconnect(present, proof)
    return present


def _again(directory_id: str | None) -> str:
    """Where a consent starts again: a connected tenant is reconnected, another is connected."""
    row = db.session.scalar(
        select(MicrosoftTenant.id).where(IS_CONNECTED, MicrosoftTenant.directory_id == directory_id)
    )
    return f"/microsoft-tenants/{row}/reconnect" if row is not None else START


def waiting(request_id: str, *, browser: str) -> ConsentRequest:
    """The accepted consent that waits for its proof. Raises Refused when it is not this browser's."""
    row = db.session.get(ConsentRequest, request_id)
    if row is None or row.session_id != browser or row.used_at is None or row.directory_id is None:
        raise Refused(NOT_OURS, link=START)
    return row


def _may_pass(error: SourceError) -> bool:
    """Whether an error is usual in the minutes after consent, or a fault of Microsoft's own."""
    if not error.is_connection:
        return isinstance(error, SourcePermissionMissing | SourceTransient | SourceThrottled)
    advice = advice_of(error)
    return error.code == "Authorization_IdentityNotFound" or (advice is not None and advice.minutes)


def _pause(waited: timedelta) -> int:
    """Seconds to the next try: 5, then half of the time waited so far, at most a minute."""
    return int(min(max(waited.total_seconds() / 2, 5), 60))


def record_refusal(reason: str) -> None:
    """Note in the audit log that a consent did not come to its end. The caller commits."""
    audit.record(db.session(), "consent_refused", reason=reason[:500])
