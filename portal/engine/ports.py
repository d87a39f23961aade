"""What the engine needs from outside, as Protocols. ``portal/app.py`` supplies the implementations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy.orm import Session, sessionmaker

from portal.errors import SourceError

RawObject = dict[str, Any]
"""One JSON object as Graph sent it."""


class Lease(Protocol):
    """The right to write a Microsoft Tenant. Implemented by ``portal.worker.leases.Lease``."""

    @property
    def tenant_id(self) -> str:
        """Our id of the Microsoft Tenant."""
        ...

    @property
    def sessions(self) -> sessionmaker[Session]:
        """For reading."""
        ...

    def transaction(self) -> AbstractContextManager[Session]:
        """The only way to write: fenced, commits at the end of the block. Raises LeaseLost before anything is written."""
        ...

    def renew(self) -> None:
        """Keep the lease while nothing is written. Raises LeaseLost."""
        ...


class DeltaPage(Protocol):
    """One page of a delta read. ``delta_link`` is set on the last page only: that is the *complete* marker (L2)."""

    @property
    def items(self) -> Sequence[RawObject]:
        """The objects of this page as Graph sent them, ``@removed`` entries included."""
        ...

    @property
    def delta_link(self) -> str | None:
        """None while more pages follow."""
        ...


class Meter(Protocol):
    """Counts what a run cost."""

    requests: int
    throttled_seconds: float


class DirectorySource(Protocol):
    """Reads one Microsoft Tenant. Implemented by ``portal.graph.source.GraphDirectory`` and by tests' fakes.

    Every method may raise the Source errors of ``portal.errors``; an iterator that ends without raising and
    without its completion marker is an incomplete read (L2).
    """

    @property
    def meter(self) -> Meter:
        """What the reads cost so far."""
        ...

    @property
    def registration(self) -> str:
        """Names the cloud and the app registration that the reads are made with: delta links are bound to them."""
        ...

    def ask_ahead(self, links: Sequence[str]) -> None:
        """Prefetch the answers of an hourly read from these delta links, so that it waits for Microsoft once."""
        ...

    def organization(self) -> RawObject:
        """``GET /organization``: the one element of ``value``."""
        ...

    def domains(self) -> list[RawObject]:
        """``GET /domains``; SourcePermissionMissing when Domain.Read.All is not granted."""
        ...

    def user_count(self) -> int | None:
        """Microsoft's own number of users (L2), None where it is not offered."""
        ...

    def users_delta(self, link: str | None) -> Iterator[DeltaPage]:
        """From ``link`` on, or from the start when None. Raises SourceGone when the link is refused (G3)."""
        ...

    def users_full(self) -> Iterator[DeltaPage]:
        """``GET /users`` page by page, for tenants that refuse delta; the last page carries ``delta_link=""``."""
        ...

    def agents(self) -> frozenset[str]:
        """Lower-case ids of the users that are AI agents (S8). SourceError where Microsoft does not tell."""
        ...

    def deleted_users(self) -> list[RawObject]:
        """Soft-deleted users (docs/microsoft-graph.md, 2.5): ``id`` and ``deletedDateTime`` at least."""
        ...

    def groups(self) -> list[RawObject]:
        """Every group of the tenant, complete or an error."""
        ...

    def transitive_members(
        self, group_ids: Sequence[str]
    ) -> Mapping[str, frozenset[str] | SourceError | None]:
        """Group id -> object ids of its direct and nested user members (S6); None for a group that is gone (404).

        What keeps one group from being read is its error; what concerns the tenant is raised.
        """
        ...

    def groups_delta(self, link: str | None) -> Iterator[DeltaPage]:
        """Groups that changed, members included; used to know which member lists to read again. SourceGone as above.

        ``latest`` as link asks for a link to go on from, without data (docs/microsoft-graph.md, 3).
        """
        ...

    def subscribed_skus(self) -> list[RawObject]:
        """``GET /subscribedSkus`` (docs/microsoft-graph.md, 7.2)."""
        ...

    def sign_ins(self, since: datetime | None) -> Iterator[Sequence[RawObject]]:
        """Pages of ``{id, signInActivity?}`` through the app-wide limiter (T7). SourceLicenseMissing without P1.

        Everybody for None, else who signed in since; SourceRejected with status 400 where that cannot be asked for.
        """
        ...

    def registration_details(self) -> Iterator[Sequence[RawObject]]:
        """Pages of the MFA registration report (docs/microsoft-graph.md, 6)."""
        ...

    def managed_devices(self) -> Iterator[Sequence[RawObject]]:
        """Pages of Intune devices, Wi-Fi MAC included."""
        ...

    def ethernet_macs(self, device_ids: Sequence[str]) -> Mapping[str, str]:
        """Device id -> Ethernet MAC, one GET each (docs/microsoft-graph.md, 8.2); devices that are gone are left out."""
        ...


SourceFactory = Callable[[Lease], DirectorySource]
"""A reader for a leased Microsoft Tenant; it renews the lease while Microsoft makes it wait. Raises SourceError when it cannot
be built (no credentials)."""
