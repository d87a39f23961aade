"""The audit log (O4): a closed set of events, each with fixed keys. Anything else raises, so that no event is incomplete."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from portal import addresses
from portal.clock import utcnow
from portal.evidence import chain
from portal.models.base import new_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

# Event -> the keys of its detail. Values are short texts, numbers or lists; never secrets.
EVENTS: dict[str, frozenset[str]] = {
    # people
    "account_added": frozenset({"email", "role"}),
    "account_changed": frozenset({"email", "changes"}),
    "account_removed": frozenset({"email"}),
    "invitation_created": frozenset({"email", "role"}),
    "invitation_used": frozenset({"email"}),
    "invitation_withdrawn": frozenset({"email"}),
    "link_refused": frozenset({"count"}),
    "password_changed": frozenset(),
    "role_refused": frozenset({"needed", "count"}),
    "session_ended": frozenset({"email"}),
    "sign_in_failed": frozenset({"email", "reason"}),
    "sign_in_locked": frozenset({"email", "minutes"}),
    "sign_in_while_locked": frozenset({"email", "count"}),
    "signed_in": frozenset({"method"}),
    "signed_out": frozenset(),
    "token_created": frozenset({"name", "role"}),
    "token_refused": frozenset({"name", "reason", "count"}),
    "token_revoked": frozenset({"name"}),
    "totp_changed": frozenset({"enabled"}),
    # Microsoft
    "microsoft_settings_changed": frozenset({"changes"}),
    "microsoft_tenant_checked": frozenset({"name", "state"}),
    "microsoft_tenant_connected": frozenset({"name", "directory_id"}),
    "microsoft_tenant_reconnected": frozenset({"name"}),
    "microsoft_tenant_removed": frozenset({"name", "directory_id"}),
    "consent_refused": frozenset({"reason"}),
    # customers
    "asset_created": frozenset({"name"}),
    "asset_changed": frozenset({"name", "changes"}),
    "asset_deleted": frozenset({"name"}),
    "assets_imported": frozenset({"created", "updated", "rejected", "import_id"}),
    "end_user_created": frozenset({"name"}),
    "end_user_changed": frozenset({"name", "changes", "fields"}),
    "end_user_deleted": frozenset({"name"}),
    "end_user_unlinked": frozenset({"name"}),
    "end_users_deleted": frozenset({"count"}),
    "end_users_imported": frozenset({"created", "updated", "rejected", "import_id"}),
    "import_undone": frozenset({"kind", "import_id"}),
    "organization_changed": frozenset({"name", "changes"}),
    "organization_created": frozenset({"name"}),
    "organization_deleted": frozenset({"name"}),
    "organization_deleted_in_part": frozenset({"name", "count"}),
    "organization_moved": frozenset({"name", "from", "to"}),
    "organization_tagged": frozenset({"name", "added", "removed"}),
    "view_deleted": frozenset({"name"}),
    "view_saved": frozenset({"name", "shared"}),
    "tenant_created": frozenset({"name"}),
    "tenant_deleted": frozenset({"name"}),
    "tenant_mapped": frozenset({"name", "microsoft_tenant"}),
    "tenant_renamed": frozenset({"old", "new"}),
    "tenant_unmapped": frozenset({"name", "microsoft_tenant"}),
    # syncs
    "conflict_resolved": frozenset({"kind", "settlement"}),
    "conflict_reopened": frozenset({"kind"}),
    "exception_added": frozenset({"kind", "reason"}),
    "exception_removed": frozenset({"kind"}),
    "filter_template_changed": frozenset({"name", "changes"}),
    "filter_template_created": frozenset({"name"}),
    "filter_template_deleted": frozenset({"name"}),
    "filter_template_followed": frozenset({"organization", "template"}),
    "filter_template_left": frozenset({"organization", "template"}),
    "hold_applied": frozenset({"organization", "count"}),
    "hold_dismissed": frozenset({"organization", "count"}),
    "recovery_done": frozenset({"organization", "deleted", "unlinked", "restored"}),
    "rollout_started": frozenset({"kind", "count"}),
    "run_undone": frozenset({"organization", "run_id"}),
    "sync_run_finished": frozenset({"organization", "status", "counts"}),
    "sync_run_requested": frozenset({"organization"}),
    "user_sync_disabled": frozenset({"organization"}),
    "user_sync_edited": frozenset({"organization"}),
    "user_sync_enabled": frozenset({"organization"}),
    # the portal
    "audit_log_pruned": frozenset({"count", "through"}),
    "backup_made": frozenset({"rows", "bytes"}),
    "backup_restored": frozenset({"rows", "replaced_head"}),
    "exported": frozenset({"what", "rows", "bytes"}),
    "notifications_changed": frozenset({"changes"}),
    "secrets_rotated": frozenset({"count"}),
    "settings_changed": frozenset({"changes"}),
}


@dataclass(frozen=True)
class Actor:
    """Who acts, through which interface, from where. source: page | api | cli | sync."""

    name: str
    source: str
    ip: str = ""
    is_known: bool = True


SYNC = Actor("Rollcall", "sync")
_actor: ContextVar[Actor] = ContextVar("actor", default=SYNC)


def nobody(source: str, ip: str = "") -> Actor:
    """The actor of events before a sign-in, such as failed ones: only the address is known."""
    return Actor("not signed in", source, ip, is_known=False)


def current_actor() -> Actor:
    """The present actor; the sync unless another was set."""
    return _actor.get()


def set_actor(actor: Actor) -> None:
    """Set the actor for the rest of this context: one request, or one command."""
    _actor.set(actor)


@contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
    """Set the actor within the block."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


class Row(Protocol):
    """A row that an event is about."""

    __tablename__: str

    @property
    def id(self) -> Any:
        """Its primary key."""


def record(
    session: Session,
    action: str,
    row: Row | None = None,
    *,
    object_type: str = "",
    object_id: str = "",
    **detail: Any,
) -> None:
    """Write one event with the commit of ``session``, and so with the change it is about, or not at all.

    ``row``: what the event is about, in place of ``object_type`` and ``object_id``.
    Raises KeyError for an unknown event and ValueError when the keys of ``detail`` are not exactly the event's.
    """
    if set(detail) != EVENTS[action]:
        raise ValueError(f"audit event {action} takes {sorted(EVENTS[action])}, not {sorted(detail)}")
    if row is not None:
        object_type, object_id = row.__tablename__.removesuffix("s"), row.id
    actor = current_actor()
    chain.append(
        session,
        {
            "id": new_id(),
            "at": utcnow(),
            "actor": actor.name,
            "source": actor.source,
            "action": action,
            "object_type": object_type,
            "object_id": object_id,
            "detail": _without_typed_secrets(detail) if not (actor.is_known or object_id) else detail,
            "ip": actor.ip,
        },
    )


def _without_typed_secrets(detail: dict[str, Any]) -> dict[str, Any]:
    """Keep what strangers typed into the address field only if it is an address: people type their passwords there."""
    if "email" not in detail or not addresses.problem(str(detail["email"])):
        return detail
    return detail | {"email": ""}
