"""Admin consent (C2, graph-facts 1.3): a random single-use state, and a tenant that is never believed from the query string."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode

from sqlalchemy import select, update

from portal import audit
from portal.clock import utcnow
from portal.crypto import hash_token, new_token
from portal.errors import Invalid, Refused, SourceAuthError
from portal.extensions import db
from portal.graph.clouds import CLOUDS
from portal.graph.explain import consent_error
from portal.microsoft import gateway, service
from portal.models import ConsentRequest, MicrosoftTenant
from portal.runtime import runtime

LIFE = timedelta(minutes=15)
NOT_OURS = "This answer does not belong to a request of this browser, was used already, or came too late. Start again."


def begin(*, directory_id: str, cloud: str, browser: str, redirect_uri: str, known: bool = False) -> str:
    """The address of Microsoft's consent page. Raises Invalid. ``known``: the tenant is connected, this is a Reconnect."""
    if cloud not in CLOUDS:
        raise Invalid({"cloud": ["One of: " + ", ".join(CLOUDS) + "."]})
    wanted = directory_id.strip().lower()
    if wanted and not known:
        wanted = service.checked_directory(wanted, cloud)
    registration = service.registration_or_invalid()
    token, now = new_token(), utcnow()
    db.session.add(
        ConsentRequest(
            state_hash=hash_token(token),
            session_id=browser,
            account_id=audit.current_actor().name[:36],
            directory_id=wanted if _is_guid(wanted) else None,
            cloud=cloud,
            created_at=now,
            expires_at=now + LIFE,
        )
    )
    login = gateway.cloud_of(runtime().settings, cloud)
    query = {
        "client_id": registration.client_id,
        "scope": f"{login.graph_url}/.default",
        "redirect_uri": redirect_uri,
        "state": token,
    }
    return f"{login.login_url}/{wanted or 'organizations'}/v2.0/adminconsent?{urlencode(query)}"


def finish(answer: Mapping[str, str], *, browser: str) -> MicrosoftTenant:
    """Take Microsoft's answer. Raises Refused for a bad state or a declined consent, Source errors, Invalid."""
    now = utcnow()
    digest = hash_token(answer.get("state", ""))
    row = db.session.get(ConsentRequest, digest)
    if row is None or row.session_id != browser or row.used_at is not None or row.expires_at <= now:
        raise Refused(NOT_OURS, link="/microsoft-tenants/connect")
    used = db.session.execute(
        update(ConsentRequest)
        .where(ConsentRequest.state_hash == digest, ConsentRequest.used_at.is_(None))
        .values(used_at=now)
    )
    if used.rowcount != 1:  # type: ignore[attr-defined]
        raise Refused(NOT_OURS, link="/microsoft-tenants/connect")
    expected, cloud = row.directory_id, row.cloud
    db.session.commit()  # single use, whatever comes next; and nothing is held while Microsoft is asked (T6)
    if "error" in answer:
        raise Refused(
            consent_error(answer["error"], answer.get("error_description", "")),
            link="/microsoft-tenants/connect",
        )
    candidate = answer.get("tenant", "").strip().lower()
    if answer.get("admin_consent", "").lower() != "true" or not _is_guid(candidate):
        raise Refused("Microsoft's answer holds no consent. Start again.", link="/microsoft-tenants/connect")
    if expected is not None and candidate != expected:
        raise Refused(
            "The consent was given for another Microsoft tenant than the one that was asked for. Nothing was connected. "
            "Let an administrator of the right tenant sign in.",
            link="/microsoft-tenants/connect",
        )
    proof = _proof(candidate, cloud)
    present = db.session.scalar(
        select(MicrosoftTenant).where(MicrosoftTenant.directory_id == proof.directory_id)
    )
    if present is not None:
        service.reconnect(present, proof)
        return present
    return service.add(proof, cloud)


def record_refusal(reason: str) -> None:
    """Note in the audit log that a consent did not come to its end. The caller commits."""
    audit.record(db.session(), "consent_refused", reason=reason[:500])


def _proof(directory_id: str, cloud: str) -> gateway.Proof:
    registration = service.registration_or_invalid()
    db.session.rollback()
    try:
        return gateway.prove(runtime().settings, registration, directory_id=directory_id, cloud=cloud)
    except SourceAuthError as error:
        raise Refused(
            f"{error.advice} Right after consent Microsoft may need some minutes: then connect by tenant ID instead of asking again.",
            link="/microsoft-tenants/connect",
        ) from error


def _is_guid(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4 and all(c in "0123456789abcdef-" for c in text)
