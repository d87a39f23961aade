"""Users become Directory Users, page by page; the delta link and what is concluded from absence come with the last (G3, L2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from portal.engine import cadence
from portal.engine.claims import write_session
from portal.engine.mirror.reading import BATCH, Reading, ReadResult
from portal.engine.normalize import merge, remote_user
from portal.engine.ports import RawObject
from portal.engine.records import Presence
from portal.errors import SourceAuthError, SourceBadAnswer, SourceError, SourceGone, SourceRejected
from portal.models import DirectoryUser, MicrosoftTenant, new_id
from portal.text import email_key

NO_DELTA = (400, 404, 405, 501)


@dataclass
class _Known:
    """What the mirror holds, by object id: (row id, row hash, presence)."""

    rows: dict[str, tuple[str, str, str]]

    @property
    def present(self) -> int:
        return sum(1 for _, _, presence in self.rows.values() if presence == Presence.PRESENT)


def read_people(reading: Reading, result: ReadResult, *, full: bool) -> None:
    """Read what changed since the stored link, or everybody; a refused link means everybody (G3). Raises Source errors."""
    link = None if full else reading.stored_link("users")
    known = _load_known(reading)
    try:
        _read_round(reading, result, known, link)
    except (SourceGone, SourceRejected) as error:
        # 410 or its codes, or a plain 400: a link that is refused is refused for good
        if link is None or (isinstance(error, SourceRejected) and error.status != 400):
            raise
        result.warnings.append(error.advice)
        _read_round(reading, result, _load_known(reading), None)


def _read_round(reading: Reading, result: ReadResult, known: _Known, link: str | None) -> None:
    result.is_full = link is None
    before = known.present
    seen: set[str] = set()
    removed: set[str] = set()
    without_id = 0
    final: str | None = None
    reading.progress("Reading people", 0, before or None)
    for page in _pages(reading, link):
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
            _save_people(reading, items, known, full=link is None)
            reading.progress("Reading people", len(seen), max(before, len(seen)) if link is None else None)
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
    result.is_complete = _agrees(reading, result, len(seen)) if link is None else True
    absent = [
        i
        for i, (_, _, presence) in known.rows.items()
        if presence == Presence.PRESENT and i not in seen and i not in removed
    ]
    soft = _soft_deleted(reading) if link is None and result.is_complete and absent else set()
    _save_last(reading, last, known, result, absent if link is None else [], soft, final)
    result.people = known.present
    reading.progress("Reading people", known.present, known.present)


def _pages(reading: Reading, link: str | None) -> Iterable[Any]:
    """The delta round; tenants that refuse delta or do not offer it (B2C, graph-facts 3) are listed in full each time."""
    pages = iter(reading.source.users_delta(link))
    try:
        first = next(pages, None)
    except SourceRejected as error:
        if link is not None or error.status not in NO_DELTA:
            raise
        yield from reading.source.users_full()
        return
    if first is not None:
        yield first
        yield from pages


def _agrees(reading: Reading, result: ReadResult, counted: int) -> bool:
    """L2: the number agrees with Microsoft's own, within 1 %, at least 5."""
    theirs = reading.source.user_count()
    if cadence.is_complete(read_to_end=True, counted=counted, microsoft_count=theirs):
        return True
    result.warnings.append(
        f"Microsoft counts {theirs:,} people, but listed {counted:,}. Nobody is marked disabled until the numbers agree."
    )
    return False


def _soft_deleted(reading: Reading) -> set[str]:
    """Which absent people can still be restored; without the list they count as gone, which is marked alike."""
    try:
        return {str(item.get("id", "")).lower() for item in reading.source.deleted_users()}
    except SourceAuthError:
        raise
    except SourceError:
        return set()


def _save_people(reading: Reading, items: dict[str, RawObject], known: _Known, *, full: bool) -> None:
    with write_session(reading.sessions) as session:
        _write_people(reading, session, items, known, full=full)
        reading.on_commit("people")
        session.commit()
    reading.on_commit("after people")


def _save_last(
    reading: Reading,
    items: dict[str, RawObject],
    known: _Known,
    result: ReadResult,
    absent: Sequence[str],
    soft: set[str],
    link: str,
) -> None:
    """The last page, the conclusions and the link: one transaction (G3)."""
    now = reading.now()
    with write_session(reading.sessions) as session:
        _write_people(reading, session, items, known, full=result.is_full)
        if result.is_full and result.is_complete:
            _write_absent(session, absent, soft, known, now)
        tenant = session.get_one(MicrosoftTenant, reading.tenant_id)
        tenant.users_count = known.present
        tenant.is_complete = result.is_complete
        tenant.incomplete_reason = None if result.is_complete else result.warnings[-1]
        if result.is_full and result.is_complete:
            tenant.last_full_read_at = now
        # A link over a read that was not complete would hide for ever what it missed: read in full again instead.
        reading.keep_link(session, "users", link if result.is_complete else "")
        reading.on_commit("last people")
        session.commit()
    reading.on_commit("after last people")


def _write_people(
    reading: Reading, session: Session, items: dict[str, RawObject], known: _Known, *, full: bool
) -> None:
    now = reading.now()
    old = (
        {}
        if full
        else _raw(
            reading, session, [i for i, item in items.items() if i in known.rows and "@removed" not in item]
        )
    )
    new_rows, changed = [], []
    for object_id, item in items.items():
        row = known.rows.get(object_id)
        if "@removed" in item:
            reason = (item["@removed"] or {}).get("reason") if isinstance(item["@removed"], dict) else None
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
                    **_columns(reading, raw, digest, now),
                }
            )
        elif row[1] != digest or row[2] != Presence.PRESENT:
            changed.append((object_id, _columns(reading, raw, digest, now), digest, Presence.PRESENT))
    for start in range(0, len(new_rows), BATCH):
        session.execute(insert(DirectoryUser), new_rows[start : start + BATCH])
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
    session: Session, absent: Sequence[str], soft: set[str], known: _Known, now: datetime
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


def _columns(reading: Reading, raw: RawObject, digest: str, now: datetime) -> dict[str, Any]:
    user = remote_user(raw)
    return {
        "microsoft_tenant_id": reading.tenant_id,
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


def _load_known(reading: Reading) -> _Known:
    with reading.sessions() as session:
        rows = session.execute(
            select(
                DirectoryUser.object_id, DirectoryUser.id, DirectoryUser.row_hash, DirectoryUser.presence
            ).where(DirectoryUser.microsoft_tenant_id == reading.tenant_id)
        )
        return _Known({object_id: (row_id, digest, presence) for object_id, row_id, digest, presence in rows})


def _raw(reading: Reading, session: Session, object_ids: Sequence[str]) -> dict[str, RawObject]:
    found: dict[str, RawObject] = {}
    for start in range(0, len(object_ids), BATCH):
        rows = session.execute(
            select(DirectoryUser.object_id, DirectoryUser.raw).where(
                DirectoryUser.microsoft_tenant_id == reading.tenant_id,
                DirectoryUser.object_id.in_(object_ids[start : start + BATCH]),
            )
        )
        found.update((object_id, raw) for object_id, raw in rows)
    return found


def _by_id(items: Iterable[RawObject]) -> dict[str, RawObject]:
    """By lower-case id; of several entries for one person the last wins (graph-facts 3)."""
    return {str(item["id"]).lower(): item for item in items if item.get("id")}


def _hash(raw: RawObject) -> str:
    return hashlib.sha1(
        json.dumps(raw, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass"),
        usedforsecurity=False,
    ).hexdigest()
