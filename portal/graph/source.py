"""Reads one Microsoft Tenant: the engine's ``DirectorySource`` (portal.engine.ports) on top of the Graph client."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from portal.errors import (
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
from portal.graph import queries
from portal.graph.ahead import has_delta_link, read_ahead
from portal.graph.answers import NOT_OFFERED, ObjectMissing
from portal.graph.client import GraphClient, Meter
from portal.graph.limiter import RateLimited, SlowLimiter
from portal.graph.tokens import roles_of

RawObject = dict[str, Any]
USER_TYPE = "#microsoft.graph.user"
NO_TENANT = "Microsoft's answer about the tenant itself cannot be used."
CHECK_ADDRESS = "Check MICROSOFT_GRAPH_URL and any proxy in between, then try again."


@dataclass(frozen=True)
class Page:
    """One page; ``delta_link`` on the last one only."""

    items: Sequence[RawObject]
    delta_link: str | None = None


class Checked(StrEnum):
    """What Check connection asks for: the names of its lines, in their order."""

    TOKEN = "Token"  # noqa: S105
    ORGANIZATION = "Organization"
    PEOPLE = "People"
    CHANGES = "People, changes only"
    GROUPS = "Groups"
    DOMAINS = "Domains"
    LICENSES = "Licenses"
    DELETED_PEOPLE = "Deleted people"
    LAST_SIGN_IN = "Last sign-in"
    MFA = "MFA registration"
    DEVICES = "Managed devices"


@dataclass(frozen=True)
class CheckResult:
    """One line of Check connection (C4). state: ok | missing_permission | missing_license | error."""

    name: Checked
    state: str
    detail: str
    permission: str = ""


class GraphDirectory:
    """One tenant's reader. Not to be shared between threads."""

    def __init__(self, client: GraphClient, limiter: SlowLimiter, registration: str = "") -> None:
        self._client, self._limiter, self.registration = client, limiter, registration
        self.meter: Meter = client.meter

    def ask_ahead(self, links: Sequence[str]) -> None:
        """Ask for what each hour asks for, and for these delta links, in one request; each is given when it is read."""
        self._client.ask_ahead([queries.ORGANIZATION, queries.AGENTS, queries.SKUS, *links])

    def organization(self) -> RawObject:
        """The tenant itself; its ``id`` is the tenant id."""
        try:
            value = self._client.get(queries.ORGANIZATION).get("value")
        except ObjectMissing as error:
            raise SourceBadAnswer(f"{NO_TENANT} {CHECK_ADDRESS}", code=error.code or "404") from error
        if not isinstance(value, list) or len(value) != 1 or not isinstance(value[0], dict):
            raise SourceBadAnswer(f"{NO_TENANT} {CHECK_ADDRESS}", code="organization")
        return value[0]

    def domains(self) -> list[RawObject]:
        """Every domain, unverified ones included."""
        return self._all(queries.DOMAINS)

    def user_count(self) -> int | None:
        """Microsoft's own number of users; None where Microsoft does not provide it (B2C, missing index)."""
        refused = (SourceRejected, ObjectMissing, SourceBadAnswer, SourcePermissionMissing)
        try:
            return self._client.get_number(queries.USER_COUNT, headers=queries.CONSISTENT)
        except refused:
            pass
        try:
            listed = self._client.get(queries.USER_COUNT_IN_LIST, headers=queries.CONSISTENT)
        except refused:
            return None
        number = listed.get("@odata.count")
        return number if isinstance(number, int) and not isinstance(number, bool) else None

    def users_delta(self, link: str | None) -> Iterator[Page]:
        """People that changed since ``link``, or all; ends with the new delta link."""
        pages = self._delta(queries.USERS_DELTA) if link is None else self._delta_since(link)
        return read_ahead(pages, has_delta_link)

    def users_full(self) -> Iterator[Page]:
        """Everybody, page by page, for tenants that refuse delta; the last page says so with an empty link."""
        return read_ahead(self._users_full(), has_delta_link)

    def _users_full(self) -> Iterator[Page]:
        previous: list[RawObject] | None = None
        for page in self._client.pages(queries.USERS):
            if previous is not None:
                yield Page(previous)
            previous = _objects(page)
        yield Page(previous or [], "")

    def agents(self) -> frozenset[str]:
        """Ids of AI agents (docs/microsoft-graph.md, 2.5); a tenant or cloud without the type refuses the question."""
        return frozenset(str(item.get("id", "")).lower() for item in self._all(queries.AGENTS))

    def deleted_users(self) -> list[RawObject]:
        """Soft-deleted users of the last 30 days."""
        return self._all(queries.DELETED_USERS)

    def groups(self) -> list[RawObject]:
        """Every group."""
        return self._all(queries.GROUPS)

    def transitive_members(self, group_ids: Sequence[str]) -> dict[str, frozenset[str] | SourceError | None]:
        """Group id → user ids, direct and nested; None for a group that is gone. First pages come by ``$batch``.

        One group that cannot be read spares the others; a refused token and throttling concern all and are raised.
        """
        members: dict[str, frozenset[str] | SourceError | None] = {}
        paths = [queries.members(group_id) for group_id in group_ids]
        for group_id, first in zip(group_ids, self._client.batch(paths), strict=True):
            try:
                members[group_id] = self._members(first)
            except (SourceAuthError, SourceThrottled):
                raise
            except SourceError as error:
                members[group_id] = error
        return members

    def groups_delta(self, link: str | None) -> Iterator[Page]:
        """Groups that changed, with their changed members; ``latest`` gives a link to go on from and no data."""
        if link == "latest":
            return self._delta(f"{queries.GROUPS_DELTA}&$deltatoken=latest")
        return self._delta(queries.GROUPS_DELTA) if link is None else self._delta_since(link)

    def subscribed_skus(self) -> list[RawObject]:
        """License products."""
        return self._all(queries.SKUS)

    def sign_ins(self, since: datetime | None) -> Iterator[Sequence[RawObject]]:
        """Pages of sign-in activity, each in its turn among all tenants (T7); of everybody, or of who signed in since."""
        path = queries.SIGN_INS
        if since is not None:
            path += queries.SIGNED_IN_SINCE.format(since.astimezone(UTC))
        with RateLimited(self._client, self._limiter):
            for page in self._pages(path):
                yield _objects(page)

    def registration_details(self) -> Iterator[Sequence[RawObject]]:
        """Pages of the MFA report; ``$top`` is not promised, so a 400 is asked again without."""
        try:
            for page in self._pages(queries.REGISTRATIONS):
                yield _objects(page)
        except SourceRejected as error:
            if error.status != 400:
                raise
            for page in self._client.pages(queries.REGISTRATIONS_BARE):
                yield _objects(page)

    def managed_devices(self) -> Iterator[Sequence[RawObject]]:
        """Pages of Intune devices. SourceLicenseMissing where the tenant has no Intune (400)."""
        try:
            for page in self._pages(queries.DEVICES):
                yield _objects(page)
        except SourceRejected as error:
            if error.status == 400:
                raise SourceLicenseMissing(
                    "This tenant has no Intune, so there are no devices to read.", code=error.code
                ) from error
            raise

    def ethernet_macs(self, device_ids: Sequence[str]) -> dict[str, str]:
        """Device id → Ethernet address; devices that are gone are left out."""
        macs: dict[str, str] = {}
        paths = [queries.device_macs(device_id) for device_id in device_ids]
        for device_id, answer in zip(device_ids, self._client.batch(paths), strict=True):
            if isinstance(answer, ObjectMissing):
                continue
            if isinstance(answer, SourceError):
                raise answer
            macs[device_id] = str(answer.get("ethernetMacAddress") or "")
        return macs

    def contracts(self) -> list[RawObject]:
        """Reseller customers of a partner tenant (C3)."""
        return self._all(queries.CONTRACTS)

    def partner_customers(self) -> list[RawObject]:
        """Customers with a delegated admin relationship (C3)."""
        return self._all(queries.PARTNER_CUSTOMERS)

    def partner_relationships(self) -> list[RawObject]:
        """Delegated admin relationships with their end dates (C5)."""
        return self._all(queries.PARTNER_RELATIONSHIPS)

    def check(self) -> list[CheckResult]:
        """Every call the sync needs, with a fresh token (C4). Raises only when no token can be had."""
        roles = roles_of(self._client.tokens.fresh())
        results = [CheckResult(Checked.TOKEN, "ok", "Microsoft gave the portal a token.")]
        if roles is not None and not roles:
            results = [
                CheckResult(
                    Checked.TOKEN,
                    "missing_permission",
                    "The token has no permissions, because consent was not given. Press Reconnect and let their administrator accept the permissions.",
                )
            ]
        return results + [self._checked(*line) for line in self._lines(roles or ())]

    def _lines(self, roles: Collection[str]) -> list[tuple[Checked, str, Callable[[], object]]]:
        first = self._client.get
        return [
            (Checked.ORGANIZATION, "Organization.Read.All", self.organization),
            (Checked.PEOPLE, "User.Read.All", lambda: first("/users?$top=1&$select=id")),
            (Checked.CHANGES, "User.Read.All", lambda: first("/users/delta?$select=id")),
            (Checked.GROUPS, "GroupMember.Read.All", lambda: first("/groups?$top=1&$select=id")),
            (Checked.DOMAINS, "Domain.Read.All", lambda: first(queries.DOMAINS)),
            (Checked.LICENSES, "Organization.Read.All", lambda: first(queries.SKUS)),
            (
                Checked.DELETED_PEOPLE,
                "User.Read.All",
                lambda: first("/directory/deletedItems/microsoft.graph.user?$select=id&$top=1"),
            ),
            (Checked.LAST_SIGN_IN, "AuditLog.Read.All", lambda: self._one_sign_in(roles)),
            (Checked.MFA, "AuditLog.Read.All", lambda: first(queries.REGISTRATIONS_BARE)),
            (
                Checked.DEVICES,
                "DeviceManagementManagedDevices.Read.All",
                lambda: first("/deviceManagement/managedDevices?$top=1&$select=id"),
            ),
        ]

    def _one_sign_in(self, roles: Collection[str]) -> object:
        with RateLimited(self._client, self._limiter):
            try:
                return self._client.get("/users?$top=1&$select=id,signInActivity")
            except SourceTransient as error:
                if error.code != "busy" or "AuditLog.Read.All" not in roles:
                    raise
                return None  # slow passes use all turns, which is no fault of this connection

    def _checked(self, name: Checked, permission: str, call: Callable[[], object]) -> CheckResult:
        try:
            call()
        except SourcePermissionMissing as error:
            return CheckResult(name, "missing_permission", error.advice, error.permission or permission)
        except SourceLicenseMissing as error:
            return CheckResult(name, "missing_license", error.advice, permission)
        except SourceRejected as error:
            if name is Checked.DEVICES and error.status == 400:
                return CheckResult(
                    name,
                    "missing_license",
                    "This tenant has no Intune, so there are no devices to read.",
                    permission,
                )
            return CheckResult(name, "error", error.advice, permission)
        except ObjectMissing:
            return CheckResult(name, "error", f"{NOT_OFFERED}.", permission)
        except SourceError as error:
            return CheckResult(name, "error", error.advice, permission)
        return CheckResult(name, "ok", "", permission)

    def _all(self, path: str) -> list[RawObject]:
        return [item for page in self._pages(path) for item in _objects(page)]

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        """Pages of a list of the tenant itself: 404 there is no missing object but a list that is not offered."""
        try:
            yield from self._client.pages(path)
        except ObjectMissing as error:
            raise SourceRejected(f"{NOT_OFFERED}.", status=404, code=error.code or "404") from error

    def _delta_since(self, link: str) -> Iterator[Page]:
        """From a stored link. However Microsoft refuses it, it is of no use any more (docs/microsoft-graph.md, 3): read in full."""
        try:
            yield from self._delta(link)
        except (SourceRejected, ObjectMissing) as error:
            raise SourceGone(
                "Microsoft no longer knows the state of the last read. The portal reads everything again.",
                code=error.code,
            ) from error

    def _delta(self, link: str) -> Iterator[Page]:
        ended = False
        for page in self._pages(link):
            delta_link = page.get("@odata.deltaLink")
            if delta_link is not None:
                self._client.check_link(delta_link)
                ended = True
            elif "@odata.nextLink" not in page:
                break
            yield Page(_objects(page), str(delta_link) if delta_link is not None else None)
        if not ended:
            raise SourceBadAnswer(
                "Microsoft's answer was cut short: the last page has no next link.", code="no delta link"
            )

    def _members(self, first: RawObject | SourceError) -> frozenset[str] | None:
        if isinstance(first, ObjectMissing):
            return None
        if isinstance(first, SourceError):
            raise first
        members = _user_ids(first)
        link = first.get("@odata.nextLink")
        if link is not None:
            for page in self._client.pages(self._client.check_link(link)):
                members |= _user_ids(page)
        return frozenset(members)


def _user_ids(page: Mapping[str, Any]) -> set[str]:
    """The users of a mixed member list; without ``@odata.type`` an entry is taken for a user."""
    return {
        str(item["id"]).lower()
        for item in _objects(page)
        if item.get("id") and item.get("@odata.type", USER_TYPE) == USER_TYPE
    }


def _objects(page: Mapping[str, Any]) -> list[RawObject]:
    value = page.get("value")
    if not isinstance(value, list):
        raise SourceBadAnswer(
            "Microsoft's answer cannot be used (a page without a list).", code="malformed answer"
        )
    return [item for item in value if isinstance(item, dict)]
