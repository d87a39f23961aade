"""Joins the app registration, the clouds and the Graph gateway: a reader for each Microsoft Tenant (C1, C2, C4)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, exists, or_, select

from portal import clock
from portal.config import Settings
from portal.engine.mirror.refresh import verified_domains
from portal.engine.normalize import clean, parse_time
from portal.engine.ports import Lease, SourceFactory
from portal.errors import PortalError, SourceAuthError, SourceError, SourceTransient, Stopped
from portal.extensions import SessionFactory
from portal.graph import connections
from portal.graph.client import GraphClient
from portal.graph.clouds import CLOUDS, Cloud, cloud
from portal.graph.source import GraphDirectory
from portal.graph.tokens import TokenProvider
from portal.microsoft import credentials
from portal.microsoft.credentials import AppRegistration
from portal.models import ACTIVE, MicrosoftTenant, SyncRun
from portal.models.microsoft import REMOVED
from portal.runtime import Runtime
from portal.worker.rate_limiter import RateLimiter

__all__ = [
    "CLOUDS",
    "Proof",
    "ask_for_token",
    "check",
    "cloud_of",
    "ends_of",
    "prove",
    "reader",
    "relationship_ends",
    "source_factory",
    "start_afresh",
]

REQUEST_PATIENCE = 8.0
"""How long a page or API request may wait for Microsoft in all its pauses; longer is for runs only."""

_turns: RateLimiter
_providers: dict[tuple[str, str, str], TokenProvider] = {}
_lock = threading.Lock()

_PRESSED = or_(
    MicrosoftTenant.read_requested_at.is_not(None),
    exists().where(
        SyncRun.microsoft_tenant_id == MicrosoftTenant.id,
        SyncRun.status.in_(ACTIVE),
        SyncRun.trigger != "hourly",
    ),
)
"""A person waits for this read and may have repaired something: Microsoft is asked anew, in whichever process.

A token that was had before the consent does not carry its permissions, and lives for an hour.
"""
_TENANT = select(
    MicrosoftTenant.directory_id,
    MicrosoftTenant.cloud,
    MicrosoftTenant.state,
    _PRESSED.label("is_pressed"),
).where(MicrosoftTenant.id == bindparam("tenant"))


@dataclass(frozen=True)
class Proof:
    """A tenant that Microsoft confirmed: it issued a token, and Graph named the tenant."""

    directory_id: str
    name: str
    domains: tuple[dict[str, Any], ...]


def start_afresh(sessions: SessionFactory) -> None:
    """Forget tokens: a new app (``app.build``) begins as a new process does. ``sessions``: where turns are kept (T7)."""
    global _turns
    with _lock:
        _providers.clear()
        connections.start_afresh()
        _turns = RateLimiter(sessions, clock.utcnow)


def cloud_of(settings: Settings, name: str) -> Cloud:
    """The cloud's addresses, the default one's replaced by MICROSOFT_LOGIN_URL and MICROSOFT_GRAPH_URL."""
    return cloud(name, login_url=settings.login_url, graph_url=settings.graph_url)


def source_factory(
    runtime: Runtime,
    *,
    wait: Callable[[float, Callable[[], object]], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> SourceFactory:
    """Readers of leased Microsoft Tenants. Raises SourceAuthError when there is no app registration.

    wait: called with seconds and what keeps the lease meanwhile.
    """

    def stop() -> None:
        if should_stop():
            raise Stopped

    def build(lease: Lease) -> GraphDirectory:
        with runtime.sessions() as session:
            row = session.connection().execute(_TENANT, {"tenant": lease.tenant_id}).one_or_none()
            if row is None or row.state == REMOVED:
                raise SourceAuthError("This Microsoft tenant was removed.")
            try:
                registration = credentials.load(session, runtime.settings, runtime.box, row.cloud)
            except PortalError as error:
                raise SourceAuthError(error.advice, code="app registration") from error
        return reader(
            runtime.settings,
            registration,
            directory_id=row.directory_id,
            cloud=row.cloud,
            wait=lambda seconds: wait(seconds, lease.renew),
            stop=stop,
            is_fresh=row.is_pressed,
        )

    return build


def reader(
    settings: Settings,
    registration: AppRegistration,
    *,
    directory_id: str,
    cloud: str,
    wait: Callable[[float], None],
    stop: Callable[[], None] = lambda: None,
    is_fresh: bool = False,
) -> GraphDirectory:
    """A reader for one tenant. is_fresh: with a token provider of its own, since MSAL replays refusals for a minute."""
    microsoft_cloud = cloud_of(settings, cloud)
    tokens = _provider(microsoft_cloud, directory_id, registration, is_fresh=is_fresh)
    client = GraphClient(microsoft_cloud.graph_url, tokens, wait, clock.utcnow, stop)
    return GraphDirectory(client, _turns, f"{microsoft_cloud.graph_url} {registration.client_id}")


def ask_for_token(
    settings: Settings, registration: AppRegistration, *, directory_id: str, cloud: str
) -> None:
    """Show an app registration to one tenant's sign-in. Raises Source errors, in words, when there is no token for it."""
    TokenProvider(
        cloud=cloud_of(settings, cloud),
        directory_id=directory_id,
        client_id=registration.client_id,
        credential=registration.msal_credential,
    ).token()


def prove(settings: Settings, registration: AppRegistration, *, directory_id: str, cloud: str) -> Proof:
    """Ask Microsoft who the tenant is (C2). Raises Source errors with sentences. Takes a few seconds at most."""
    source = reader(
        settings, registration, directory_id=directory_id, cloud=cloud, wait=Patience().wait, is_fresh=True
    )
    organization = source.organization()
    tenant_id = str(organization.get("id", "")).lower()
    if "." not in directory_id and tenant_id != directory_id.lower():  # a domain is proven by its own token
        raise SourceAuthError("Microsoft answered for a different tenant, so nothing was connected.")
    return Proof(
        directory_id=tenant_id,
        name=clean(str(organization.get("displayName") or ""))[:256] or tenant_id,
        domains=tuple(verified_domains(organization)),
    )


def check(
    settings: Settings, registration: AppRegistration, *, directory_id: str, cloud: str
) -> list[dict[str, Any]]:
    """The table of Check connection (C4). Raises Source errors when not even a token can be had."""
    source = reader(
        settings, registration, directory_id=directory_id, cloud=cloud, wait=Patience().wait, is_fresh=True
    )
    return [
        {"name": line.name, "state": line.state, "detail": line.detail, "permission": line.permission}
        for line in source.check()
    ]


def relationship_ends(
    settings: Settings, registration: AppRegistration, *, directory_id: str, cloud: str
) -> dict[str, datetime]:
    """When the relationships of a partner tenant with its customers end (C5); empty where it is none, or may not tell."""
    source = reader(
        settings, registration, directory_id=directory_id, cloud=cloud, wait=Patience().wait, is_fresh=False
    )
    try:
        return ends_of(source.partner_relationships())
    except SourceError:
        return {}


def ends_of(relationships: Iterable[Mapping[str, Any]]) -> dict[str, datetime]:
    """Customer's directory id → the last end of its relationships, of those that run before those that ran out."""
    ends: dict[str, tuple[bool, datetime]] = {}
    for item in relationships:
        end, status = parse_time(item.get("endDateTime")), item.get("status")
        key = str((item.get("customer") or {}).get("tenantId") or "").lower()
        if end is None or not key or status not in {"active", "expired", "terminated"}:
            continue
        ends[key] = max(ends.get(key, (False, end)), (status == "active", end))
    return {key: end for key, (_, end) in ends.items()}


@dataclass
class Patience:
    """Waits for a request of a person: briefly in all, then gives up instead of keeping them."""

    left: float = REQUEST_PATIENCE
    pause: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float) -> None:
        """Wait, or raise SourceTransient if that would be too long for a page."""
        if seconds > self.left:
            raise SourceTransient(
                "Microsoft is slow or busy right now. Try again in a minute; syncs do so by themselves.",
                code="busy",
            )
        self.left -= seconds
        self.pause.wait(seconds)


def _provider(
    microsoft_cloud: Cloud, directory_id: str, registration: AppRegistration, *, is_fresh: bool
) -> TokenProvider:
    """One provider per (cloud, tenant, credential); it holds the token cache (docs/microsoft-graph.md, 1.7)."""
    key = (microsoft_cloud.graph_url, directory_id, registration.version)
    with _lock:
        if is_fresh or key not in _providers:
            _providers[key] = TokenProvider(
                cloud=microsoft_cloud,
                directory_id=directory_id,
                client_id=registration.client_id,
                credential=registration.msal_credential,
            )
        return _providers[key]
