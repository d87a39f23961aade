"""Mirror: what Microsoft has becomes Directory Users, groups, members and licenses (sync-rules, "Mirror").

Rows are written page by page; the delta link only together with the last page's rows and, after a full read, with the
conclusions from absence (G3, L2). A read that fails anywhere leaves rows, but neither a link nor conclusions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from portal.engine import cadence
from portal.engine.claims import Sessions, write_session
from portal.engine.licenses import product_name
from portal.engine.normalize import SELECT, clean, email_key, merge, remote_user
from portal.engine.ports import DirectorySource, RawObject
from portal.engine.records import Presence
from portal.errors import (
    SourceAuthError,
    SourceBadAnswer,
    SourceError,
    SourceGone,
    SourceLicenseMissing,
    SourcePermissionMissing,
    SourceRejected,
    SourceThrottled,
)
from portal.models import (
    DeltaCursor,
    DirectoryGroup,
    DirectoryUser,
    GroupMembership,
    MicrosoftTenant,
    SubscribedSku,
    new_id,
)

CHUNK = 500
Progress = Callable[[str, int, int | None], None]
Hook = Callable[[str], None]


@dataclass
class ReadResult:
    """What a read found out. is_complete: absence may be concluded (L2). group_error: syncs with a Group filter must not run."""

    is_complete: bool = False
    is_full: bool = False
    people: int = 0
    warnings: list[str] = field(default_factory=list)
    group_error: SourceError | None = None


@dataclass
class _Known:
    """What the mirror holds, by object id: (row id, row hash, presence)."""

    rows: dict[str, tuple[str, str, str]]

    @property
    def present(self) -> int:
        return sum(1 for _, _, presence in self.rows.values() if presence == Presence.PRESENT)


@dataclass
class Mirror:
    """Reads one Microsoft Tenant into its mirror. ``on_commit`` is told before and after each commit (crash tests)."""

    sessions: Sessions
    tenant_id: str
    source: DirectorySource
    now: Callable[[], datetime]
    progress: Progress
    on_commit: Hook = lambda _label: None

    def read(self, *, full: bool = False, groups: frozenset[str] = frozenset()) -> ReadResult:
        """Read people, groups and licenses. ``groups``: lower-case ids whose members are needed. Raises Source errors."""
        result = ReadResult()
        with self.sessions() as session:
            tenant = session.get_one(MicrosoftTenant, self.tenant_id)
            directory_id, last_full = tenant.directory_id, tenant.last_full_read_at
        self._check_tenant(directory_id)
        self._read_people(result, full=full or cadence.full_read_due(last_full, self.now()))
        self._read_groups(result, groups)
        self._read_licenses(result)
        self._finish()
        return result

    # -- the tenant itself ---------------------------------------------------------------------------------------

    def _check_tenant(self, directory_id: str) -> None:
        """The token must open the tenant that is stored, or another customer's people would land here."""
        found = self.source.organization()
        if str(found.get("id", "")).lower() != directory_id:
            raise SourceAuthError(
                "Microsoft answered for another tenant than the one that is connected. Nothing was read. Check the connection."
            )
        domains = verified_domains(found)
        name = clean(str(found.get("displayName") or ""))[:256]
        with write_session(self.sessions) as session:
            tenant = session.get_one(MicrosoftTenant, self.tenant_id)
            tenant.domains = domains or tenant.domains
            tenant.name = name or tenant.name
            session.commit()

    # -- people --------------------------------------------------------------------------------------------------

    def _read_people(self, result: ReadResult, *, full: bool) -> None:
        link = None if full else self._stored_link("users")
        known = self._known()
        try:
            self._read_round(result, known, link)
        except SourceGone as error:
            if link is None:
                raise
            result.warnings.append(error.advice)
            self._read_round(result, self._known(), None)

    def _read_round(self, result: ReadResult, known: _Known, link: str | None) -> None:
        result.is_full = link is None
        before = known.present
        seen: set[str] = set()
        removed: set[str] = set()
        without_id = 0
        final: str | None = None
        self.progress("Reading people", 0, before or None)
        for page in self._pages(link):
            if final is not None:
                raise SourceBadAnswer(
                    "Microsoft's answer went on after its end. Nothing is concluded from it.",
                    code="pages after the end",
                )
            items = _by_id(page.items)
            without_id += sum(1 for item in page.items if not item.get("id"))
            gone = {object_id for object_id, item in items.items() if "@removed" in item}
            seen.update(items.keys() - gone)
            seen.difference_update(gone)
            removed.update(gone)
            final = page.delta_link
            if final is None:
                self._save_people(items, known, full=link is None)
                self.progress("Reading people", len(seen), max(before, len(seen)) if link is None else None)
                continue
            last = items
        if final is None:
            raise SourceBadAnswer(
                "Microsoft's answer broke off before its end. Nothing is concluded from it.",
                code="no delta link",
            )
        if without_id:
            result.warnings.append(f"{without_id} records without an id were left out.")
        if link is None and before and not seen:
            raise SourceBadAnswer(
                "Microsoft returned nobody, where there were people before. Nothing was changed.",
                code="empty read",
            )
        result.is_complete = self._agrees(result, len(seen)) if link is None else True
        absent = [
            i
            for i, (_, _, presence) in known.rows.items()
            if presence == Presence.PRESENT and i not in seen and i not in removed
        ]
        soft = self._soft_deleted() if link is None and result.is_complete and absent else set()
        self._save_last(last, known, result, absent if link is None else [], soft, final)
        result.people = known.present
        self.progress("Reading people", known.present, known.present)

    def _pages(self, link: str | None) -> Iterable[Any]:
        """The delta round; tenants that refuse delta (B2C, graph-facts 3) are listed in full each time."""
        pages = iter(self.source.users_delta(link))
        try:
            first = next(pages, None)
        except SourceRejected as error:
            if link is not None or error.status != 400:
                raise
            yield from self.source.users_full()
            return
        if first is not None:
            yield first
            yield from pages

    def _agrees(self, result: ReadResult, counted: int) -> bool:
        """L2: the number agrees with Microsoft's own, within 1 %, at least 5."""
        theirs = self.source.user_count()
        if cadence.is_complete(read_to_end=True, counted=counted, microsoft_count=theirs):
            return True
        result.warnings.append(
            f"Microsoft counts {theirs:,} people, but listed {counted:,}. Nobody was marked disabled because of being absent."
        )
        return False

    def _soft_deleted(self) -> set[str]:
        """Which absent people can still be restored; without the list they count as gone, which is marked alike."""
        try:
            return {str(item.get("id", "")).lower() for item in self.source.deleted_users()}
        except SourceAuthError:
            raise
        except SourceError:
            return set()

    def _save_people(self, items: dict[str, RawObject], known: _Known, *, full: bool) -> None:
        with write_session(self.sessions) as session:
            self._write_people(session, items, known, full=full)
            self.on_commit("people")
            session.commit()
        self.on_commit("after people")

    def _save_last(
        self,
        items: dict[str, RawObject],
        known: _Known,
        result: ReadResult,
        absent: Sequence[str],
        soft: set[str],
        link: str,
    ) -> None:
        """The last page, the conclusions and the link: one transaction (G3)."""
        now = self.now()
        with write_session(self.sessions) as session:
            self._write_people(session, items, known, full=result.is_full)
            if result.is_full and result.is_complete:
                self._write_absent(session, absent, soft, known, now)
            tenant = session.get_one(MicrosoftTenant, self.tenant_id)
            tenant.users_count = known.present
            tenant.is_complete = result.is_complete
            tenant.incomplete_reason = None if result.is_complete else result.warnings[-1]
            if result.is_full and result.is_complete:
                tenant.last_full_read_at = now
            # A link over a read that was not complete would hide for ever what it missed: read in full again instead.
            self._keep_link(session, "users", link if result.is_complete else "")
            self.on_commit("last people")
            session.commit()
        self.on_commit("after last people")

    def _write_people(
        self, session: Session, items: dict[str, RawObject], known: _Known, *, full: bool
    ) -> None:
        now = self.now()
        old = (
            {}
            if full
            else self._raw(
                session, [i for i, item in items.items() if i in known.rows and "@removed" not in item]
            )
        )
        new_rows, changed = [], []
        for object_id, item in items.items():
            row = known.rows.get(object_id)
            if "@removed" in item:
                reason = (
                    (item["@removed"] or {}).get("reason") if isinstance(item["@removed"], dict) else None
                )
                presence = Presence.SOFT_DELETED if reason == "changed" else Presence.GONE
                if row is not None and row[2] != presence:
                    changed.append(
                        (
                            object_id,
                            {"presence": presence.value, "absent_since": now, "changed_at": now},
                            row[1],
                            presence,
                        )
                    )
                continue
            raw = merge(old.get(object_id), item, full=full)
            raw["id"] = object_id
            digest = _hash(raw)
            if row is None:
                new_rows.append(
                    {
                        "id": new_id(),
                        "object_id": object_id,
                        "first_seen_at": now,
                        **self._columns(raw, digest, now),
                    }
                )
            elif row[1] != digest or row[2] != Presence.PRESENT:
                changed.append((object_id, self._columns(raw, digest, now), digest, Presence.PRESENT))
        for start in range(0, len(new_rows), CHUNK):
            session.execute(insert(DirectoryUser), new_rows[start : start + CHUNK])
        for row_values in new_rows:
            known.rows[row_values["object_id"]] = (row_values["id"], row_values["row_hash"], Presence.PRESENT)
        for object_id, values, digest, presence in changed:
            row_id = known.rows[object_id][0]
            session.execute(
                update(DirectoryUser)
                .where(DirectoryUser.id == row_id)
                .values(**values)
                .execution_options(synchronize_session=False)
            )
            known.rows[object_id] = (row_id, digest, presence)

    def _write_absent(
        self, session: Session, absent: Sequence[str], soft: set[str], known: _Known, now: datetime
    ) -> None:
        if not absent:
            return
        table = DirectoryUser.__table__
        statement = (
            table.update()  # type: ignore[attr-defined]
            .where(table.c.id == bindparam("row_id"))
            .values(presence=bindparam("new_presence"), absent_since=now, changed_at=now)
        )
        rows = []
        for object_id in absent:
            row_id, digest, _ = known.rows[object_id]
            presence = Presence.SOFT_DELETED if object_id in soft else Presence.GONE
            rows.append({"row_id": row_id, "new_presence": presence.value})
            known.rows[object_id] = (row_id, digest, presence)
        session.connection().execute(statement, rows)

    def _columns(self, raw: RawObject, digest: str, now: datetime) -> dict[str, Any]:
        user = remote_user(raw)
        return {
            "microsoft_tenant_id": self.tenant_id,
            "raw": raw,
            "row_hash": digest,
            "presence": Presence.PRESENT.value,
            "absent_since": None,
            "changed_at": now,
            "user_principal_name": user.user_principal_name,
            "display_name": user.display_name,
            "email": user.email,
            "email_key": email_key(user.email),
            "user_type": user.user_type,
            "office_location": user.office_location,
            "department": user.department,
            "account_enabled": user.account_enabled,
            "license_sku_ids": list(user.license_sku_ids),
            "problem": user.problem[:512],
        }

    def _known(self) -> _Known:
        with self.sessions() as session:
            rows = session.execute(
                select(
                    DirectoryUser.object_id, DirectoryUser.id, DirectoryUser.row_hash, DirectoryUser.presence
                ).where(DirectoryUser.microsoft_tenant_id == self.tenant_id)
            )
            return _Known(
                {object_id: (row_id, digest, presence) for object_id, row_id, digest, presence in rows}
            )

    def _raw(self, session: Session, object_ids: Sequence[str]) -> dict[str, RawObject]:
        found: dict[str, RawObject] = {}
        for start in range(0, len(object_ids), CHUNK):
            rows = session.execute(
                select(DirectoryUser.object_id, DirectoryUser.raw).where(
                    DirectoryUser.microsoft_tenant_id == self.tenant_id,
                    DirectoryUser.object_id.in_(object_ids[start : start + CHUNK]),
                )
            )
            found.update((object_id, raw) for object_id, raw in rows)
        return found

    # -- groups --------------------------------------------------------------------------------------------------

    def _read_groups(self, result: ReadResult, wanted: frozenset[str]) -> None:
        self.progress("Reading groups", 0, None)
        try:
            listed = {str(g["id"]).lower(): g for g in self.source.groups() if g.get("id")}
        except SourceAuthError:
            raise
        except SourceError as error:
            if _is_lacking(error):
                self._remember("groups", error)
            result.group_error = error  # whoever does not filter by group goes on
            return
        self._remember("groups", None)
        with write_session(self.sessions) as session:
            self._write_groups(session, listed)
            session.commit()
        try:
            self._read_members(result, wanted)
        except SourceAuthError:
            raise
        except SourceError as error:
            result.group_error = error

    def _write_groups(self, session: Session, listed: dict[str, RawObject]) -> None:
        rows = {
            row.object_id: row
            for row in session.scalars(
                select(DirectoryGroup).where(DirectoryGroup.microsoft_tenant_id == self.tenant_id)
            )
        }
        new_rows = []
        for object_id, item in listed.items():
            values = {
                "display_name": clean(str(item.get("displayName") or ""))[:256],
                "mail": clean(str(item.get("mail") or ""))[:320],
                "kind": group_kind(item),
            }
            row = rows.get(object_id)
            if row is None:
                new_rows.append(
                    {"id": new_id(), "microsoft_tenant_id": self.tenant_id, "object_id": object_id, **values}
                )
                continue
            if row.is_deleted:
                row.is_deleted, row.members_stale = False, True
            for name, value in values.items():
                if getattr(row, name) != value:
                    setattr(row, name, value)
        for object_id, row in rows.items():
            if object_id not in listed and not row.is_deleted:
                row.is_deleted, row.members_read_at, row.member_count = True, None, None  # S6
        if new_rows:
            session.execute(insert(DirectoryGroup), new_rows)

    def _read_members(self, result: ReadResult, wanted: frozenset[str]) -> None:
        """Members of the groups that are asked for; again only when Microsoft says that some group changed (graph-facts 4.3)."""
        with self.sessions() as session:
            rows = session.execute(
                select(
                    DirectoryGroup.object_id, DirectoryGroup.members_read_at, DirectoryGroup.members_stale
                ).where(
                    DirectoryGroup.microsoft_tenant_id == self.tenant_id,
                    DirectoryGroup.is_deleted.is_(False),
                    DirectoryGroup.object_id.in_(wanted) | DirectoryGroup.members_wanted_at.is_not(None),
                )
            ).all()
        if not rows:
            return
        changed, link = self._group_changes(full=result.is_full)
        stale = [object_id for object_id, read_at, is_stale in rows if changed or is_stale or read_at is None]
        members = self.source.transitive_members(stale) if stale else {}
        now = self.now()
        for number, (group_id, users) in enumerate(members.items(), start=1):
            with write_session(self.sessions) as session:
                self._write_members(session, group_id, users, now)
                self.on_commit("members")
                session.commit()
            self.progress("Reading groups", number, len(members))
        with write_session(self.sessions) as session:
            self._keep_link(session, "groups", link)
            session.commit()

    def _group_changes(self, *, full: bool) -> tuple[bool, str]:
        """(did any group change since the last read, the link to go on from); the link is taken before members are read."""
        link = None if full else self._stored_link("groups")
        try:
            if link is not None:
                try:
                    return self._walk(link)
                except SourceGone:
                    pass
            return True, self._walk("latest")[1]
        except (SourceAuthError, SourceThrottled):
            raise
        except SourceError:
            return True, ""  # no incremental answer here: members are read again each time

    def _walk(self, link: str) -> tuple[bool, str]:
        changed, final = False, ""
        for page in self.source.groups_delta(link):
            changed = changed or bool(page.items)
            final = page.delta_link or ""
        return changed, final

    def _write_members(
        self, session: Session, group_id: str, users: frozenset[str] | None, now: datetime
    ) -> None:
        here = (
            GroupMembership.microsoft_tenant_id == self.tenant_id,
            GroupMembership.group_object_id == group_id,
        )
        old = set(session.scalars(select(GroupMembership.user_object_id).where(*here)))
        new = users or frozenset()
        gone = sorted(old - new)
        for start in range(0, len(gone), CHUNK):
            session.execute(
                delete(GroupMembership).where(
                    *here, GroupMembership.user_object_id.in_(gone[start : start + CHUNK])
                )
            )
        rows = [
            {"microsoft_tenant_id": self.tenant_id, "group_object_id": group_id, "user_object_id": user}
            for user in sorted(new - old)
        ]
        for start in range(0, len(rows), 2000):
            session.execute(insert(GroupMembership), rows[start : start + 2000])
        values: dict[str, Any] = {"members_read_at": now, "members_stale": False, "member_count": len(new)}
        if users is None:
            values = {"is_deleted": True, "members_read_at": None, "member_count": None}
        session.execute(
            update(DirectoryGroup)
            .where(DirectoryGroup.microsoft_tenant_id == self.tenant_id, DirectoryGroup.object_id == group_id)
            .values(**values)
        )

    # -- licenses ------------------------------------------------------------------------------------------------

    def _read_licenses(self, result: ReadResult) -> None:
        self.progress("Reading licenses", 0, None)
        try:
            listed = self.source.subscribed_skus()
        except SourceAuthError:
            raise
        except SourceError as error:
            if _is_lacking(error):
                self._remember("licenses", error)
            result.warnings.append(f"Licenses could not be read: {error.advice}")
            return
        self._remember("licenses", None)
        rows = [row for item in listed if (row := self._sku(item)) is not None]
        with write_session(self.sessions) as session:
            old = {
                row["sku_id"]: dict(row)
                for row in session.execute(
                    select(SubscribedSku.__table__).where(SubscribedSku.microsoft_tenant_id == self.tenant_id)
                ).mappings()
            }
            if old != {row["sku_id"]: row for row in rows}:
                session.execute(
                    delete(SubscribedSku).where(SubscribedSku.microsoft_tenant_id == self.tenant_id)
                )
                if rows:
                    session.execute(
                        insert(SubscribedSku), list({row["sku_id"]: row for row in rows}.values())
                    )
            session.commit()

    def _sku(self, item: RawObject) -> dict[str, Any] | None:
        sku_id = str(item.get("skuId") or "").lower()
        if not sku_id:
            return None
        part = clean(str(item.get("skuPartNumber") or ""))[:200]
        units = _dict(item.get("prepaidUnits"))
        plans = _list(item.get("servicePlans"))
        return {
            "microsoft_tenant_id": self.tenant_id,
            "sku_id": sku_id,
            "part_number": part,
            "name": product_name(sku_id, part)[:200],
            "status": str(item.get("capabilityStatus") or "")[:20],
            "applies_to": str(item.get("appliesTo") or "User")[:20],
            "bought": _number(units.get("enabled")) + _number(units.get("warning")),
            "assigned": _number(item.get("consumedUnits")),
            "service_plan_ids": sorted(
                str(p.get("servicePlanId", "")).lower() for p in plans if isinstance(p, dict)
            ),
        }

    # -- bookkeeping ---------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        now = self.now()
        with write_session(self.sessions) as session:
            tenant = session.get_one(MicrosoftTenant, self.tenant_id)
            tenant.last_synced_at = now
            tenant.read_requested_at = None
            tenant.throttled_until = None
            if tenant.slow_due_at is None:
                tenant.slow_due_at = now
            self.on_commit("read finished")
            session.commit()

    def _stored_link(self, resource: str) -> str | None:
        with self.sessions() as session:
            cursor = session.get(DeltaCursor, (self.tenant_id, resource))
            return (
                cursor.link
                if cursor is not None and cursor.fingerprint == FINGERPRINT and cursor.link
                else None
            )

    def _keep_link(self, session: Session, resource: str, link: str) -> None:
        cursor = session.get(DeltaCursor, (self.tenant_id, resource))
        if not link:
            if cursor is not None:
                session.delete(cursor)
            return
        if cursor is None:
            cursor = DeltaCursor(microsoft_tenant_id=self.tenant_id, resource=resource)
            session.add(cursor)
        cursor.link, cursor.fingerprint, cursor.obtained_at = link, FINGERPRINT, self.now()

    def _remember(self, part: str, error: SourceError | None) -> None:
        """D3: a part that Microsoft does not give is remembered and shown, never an error of the run."""
        with write_session(self.sessions) as session:
            tenant = session.get_one(MicrosoftTenant, self.tenant_id)
            remember_capability(tenant, part, error, self.now())
            session.commit()


FINGERPRINT = hashlib.sha256(",".join(SELECT).encode()).hexdigest()[:40]
"""Binds stored links to the select list (graph-facts 3): another list means another read from the start."""


def remember_capability(tenant: MicrosoftTenant, part: str, error: SourceError | None, now: datetime) -> None:
    """Note in ``tenant.capabilities`` why a part is missing, or that it works."""
    found = dict(tenant.capabilities)
    if error is None:
        if part not in found:
            return
        del found[part]
    else:
        state = "missing_license" if isinstance(error, SourceLicenseMissing) else "missing_permission"
        if found.get(part, {}).get("detail") == error.advice:
            return
        found[part] = {"state": state, "detail": error.advice, "at": now.isoformat()}
    tenant.capabilities = found


def _is_lacking(error: SourceError) -> bool:
    """A permission, license or endpoint that this tenant lacks until somebody changes it; not a fault that passes."""
    return isinstance(error, (SourcePermissionMissing, SourceLicenseMissing, SourceRejected))


def verified_domains(organization: RawObject) -> list[dict[str, Any]]:
    """[{"name","is_default","is_initial"}] of ``GET /organization``."""
    listed = organization.get("verifiedDomains")
    return [
        {
            "name": str(d["name"]).lower(),
            "is_default": bool(d.get("isDefault")),
            "is_initial": bool(d.get("isInitial")),
        }
        for d in (listed if isinstance(listed, list) else [])
        if isinstance(d, dict) and d.get("name")
    ]


def group_kind(item: RawObject) -> str:
    """The kind of a group in words (graph-facts 4.1)."""
    types = _list(item.get("groupTypes"))
    if "Unified" in types:
        kind = "Microsoft 365"
    elif item.get("mailEnabled"):
        kind = "Mail-enabled security" if item.get("securityEnabled") else "Distribution"
    else:
        kind = "Security"
    return f"{kind}, dynamic" if "DynamicMembership" in types else kind


def _by_id(items: Iterable[RawObject]) -> dict[str, RawObject]:
    """By lower-case id; of several entries for one person the last wins (graph-facts 3)."""
    return {str(item["id"]).lower(): item for item in items if item.get("id")}


def _hash(raw: RawObject) -> str:
    return hashlib.sha1(
        json.dumps(raw, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass"),
        usedforsecurity=False,
    ).hexdigest()


def _dict(value: Any) -> RawObject:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
