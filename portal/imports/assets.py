"""Assets of a file: found by id, then by MAC address, then by a name that only one has; what is ambiguous is rejected.

Over 350 lines: a kind of import is one file, from its columns to its undo.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.assets import service
from portal.engine.bulk import insert_rows, update_rows
from portal.engine.devices import normalize_mac
from portal.engine.undo import former_time
from portal.imports.records import (
    EDITED,
    GONE,
    NOTHING,
    Action,
    Candidate,
    Planned,
    UndoStep,
    changed,
    rejected,
)
from portal.imports.sheet import Columns, Row
from portal.models import Asset, AssetMac, EndUser, ImportRow, new_id
from portal.text import email_key, natural_key, text_key

LABELS = {
    "asset": "name",
    "mac": "mac_addresses",
    "mac address": "mac_addresses",
    "end user": "end_user_email",
    "end user's email": "end_user_email",
    "assigned": "assigned_by",
}
OWNER = "end_user_email"


@dataclass(frozen=True, slots=True)
class _Present:
    """An Asset as it is now. macs: 12 digits each."""

    id: str
    name: str
    macs: frozenset[str]
    end_user_id: str | None
    end_user_email: str
    assigned_by: str | None
    updated_at: datetime


class AssetImporter:
    """Creates and updates Assets."""

    columns = Columns(
        fields=("id", *service.CSV_FIELDS),
        required=("name",),
        ignored=frozenset({"organization_id", "assigned_by", "end_user_id"}),
        labels={text_key(label): name for label, name in LABELS.items()},
    )

    def match(
        self,
        session: Session,
        organization_id: str,
        rows: Iterable[Row],
        written: Mapping[int, str] = NOTHING,
    ) -> Iterator[Candidate]:
        """Find the Asset that each row means; two rows never mean the same one."""
        candidates = {candidate.line: candidate for candidate in map(_candidate, rows)}
        _Matching(session, organization_id, candidates).run(written)
        return iter(candidates.values())

    def plan(
        self, session: Session, organization_id: str, candidates: Sequence[Candidate], *, lock: bool = False
    ) -> list[Planned]:
        """Compare with what is here now."""
        ids = [
            candidate.target_id for candidate in candidates if candidate.target_id and not candidate.problem
        ]
        present = _present(session, organization_id, ids, lock=lock)
        owner_keys = {
            key for candidate in candidates if (key := email_key(candidate.values.get(OWNER) or ""))
        }
        owners = _owners(session, organization_id, owner_keys)
        return [_planned(candidate, present, owners) for candidate in candidates]

    def write(
        self, session: Session, organization_id: str, planned: Sequence[Planned], now: datetime
    ) -> None:
        """Insert and update in bulk. An assignment made here is manual: the sync leaves it alone (W5)."""
        blank = {"end_user_id": None, "assigned_by": None}
        inserts = [
            {
                **blank,
                **_own_columns(planned_row.columns),
                "id": planned_row.object_id,
                "organization_id": organization_id,
                "created_at": now,
                "updated_at": now,
            }
            for planned_row in planned
            if planned_row.action is Action.CREATE
        ]
        insert_rows(session, Asset, inserts)
        changes = [
            {**planned_row.columns, "id": planned_row.object_id, "updated_at": now}
            for planned_row in planned
            if planned_row.action is Action.UPDATE
        ]
        _update(session, changes)
        created = {
            planned_row.object_id: planned_row.columns
            for planned_row in planned
            if planned_row.action is Action.CREATE
        }
        _write_macs(session, created)

    def plan_undo(
        self, session: Session, organization_id: str, rows: Sequence[ImportRow], *, lock: bool = False
    ) -> list[UndoStep]:
        """Created Assets are deleted and fields restored, unless edited since."""
        present = _present(session, organization_id, [row.object_id or "" for row in rows], lock=lock)
        former = {owner for row in rows if (owner := (row.before.get("end_user_id") or [None])[0])}
        people = set(session.scalars(select(EndUser.id).where(EndUser.id.in_(former))))
        return [_undo_step(row, present.get(row.object_id or ""), people) for row in rows]

    def undo(self, session: Session, steps: Sequence[UndoStep], now: datetime) -> None:
        """Write it back."""
        gone = [step.object_id for step in steps if step.delete]
        if gone:
            session.connection().execute(delete(AssetMac).where(AssetMac.asset_id.in_(gone)))
            session.connection().execute(delete(Asset).where(Asset.id.in_(gone)))
        _update(
            session,
            [{"updated_at": now, **step.columns, "id": step.object_id} for step in steps if step.fields],
        )


class _Matching:
    """Finds the Asset of each row, over the whole file: by id first, so that no weaker match takes what another row names."""

    def __init__(self, session: Session, organization_id: str, rows: dict[int, Candidate]) -> None:
        self._rows = rows
        self._claims: dict[str, int] = {}  # Asset id → line
        self._names: dict[str, str] = {}
        self._by_mac: dict[str, set[str]] = defaultdict(set)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        here = select(Asset.id, Asset.name).where(Asset.organization_id == organization_id)
        for asset_id, name in session.execute(here.order_by(Asset.id)):
            self._names[asset_id] = text_key(name)
            self._by_name[text_key(name)].append(asset_id)
        macs = select(AssetMac.mac, AssetMac.asset_id).join(Asset, Asset.id == AssetMac.asset_id)
        for mac, asset_id in session.execute(macs.where(Asset.organization_id == organization_id)):
            self._by_mac[mac].add(asset_id)

    def run(self, written: Mapping[int, str]) -> None:
        """Set ``target_id`` or ``problem`` of the candidates; one with neither is new."""
        lines = [line for line, row in self._rows.items() if not row.problem]
        for line in lines:
            if (
                line in written
            ):  # before this import went on; else the row beside it would find what it has made
                self._claim(line, written[line])
        for line in lines:
            if self._is_open(line) and self._rows[line].values.get("id") in self._names:
                self._claim(line, self._rows[line].values["id"])
        self._match_by_mac([line for line in lines if self._is_open(line)])
        self._match_by_name([line for line in lines if self._is_open(line)])

    def _match_by_mac(self, lines: Iterable[int]) -> None:
        line_of: dict[str, int] = {}
        for line, row in self._rows.items():
            if row.target_id is not None:  # by its id
                line_of.update(dict.fromkeys(row.values.get("mac_addresses") or (), line))
        for line in lines:
            row = self._rows[line]
            macs = row.values.get("mac_addresses") or ()
            double = next((mac for mac in macs if mac in line_of), None)
            if double is not None:
                mac = service.shown_mac(double)
                self._reject(line, f"The MAC address {mac} is already in line {line_of[double]}.")
                continue
            line_of.update(dict.fromkeys(macs, line))
            ids = set().union(*(self._by_mac.get(mac, set()) for mac in macs))
            if len(ids) > 1:  # a dock's address, which several laptops were seen with
                ids = {row_id for row_id in ids if self._names[row_id] == row.key} or ids
            if len(ids) > 1:
                self._reject(
                    line, f"{len(ids)} Assets have these MAC addresses. Identify the right one by its id."
                )
            elif ids:
                self._claim(line, ids.pop())

    def _match_by_name(self, lines: Sequence[int]) -> None:
        same: dict[str, list[int]] = defaultdict(list)
        for line in lines:
            same[self._rows[line].key].append(line)
        for key, alike in same.items():
            free = [
                asset_id for asset_id in self._by_name.get(key, ()) if key and asset_id not in self._claims
            ]
            if len(free) == 1 and len(alike) == 1:
                self._claim(alike[0], free[0])
            elif free:
                for line in alike:
                    self._reject(line, _ambiguous(len(free), [other for other in alike if other != line]))

    def _is_open(self, line: int) -> bool:
        return self._rows[line].target_id is None and not self._rows[line].problem

    def _claim(self, line: int, asset_id: str) -> None:
        other = self._claims.setdefault(asset_id, line)
        if other != line:
            self._reject(line, f"Line {other} is about the same Asset.")
            return
        row = self._rows[line]
        self._rows[line] = Candidate(row.line, row.name, row.values, row.key, asset_id)

    def _reject(self, line: int, problem: str) -> None:
        row = self._rows[line]
        self._rows[line] = Candidate(row.line, row.name, problem=problem)


def _ambiguous(assets: int, lines: Sequence[int]) -> str:
    advice = "Identify the right one by its id or a MAC address."
    if assets > 1:
        return f"{assets} Assets have this name. {advice}"
    line_numbers = ", ".join(str(line) for line in lines[:5])
    return f"Line {line_numbers} has this name too, and only one Asset has it. {advice}"


def _candidate(row: Row) -> Candidate:
    if row.problem:
        return Candidate(row.line, problem=row.problem)
    values: dict[str, Any] = {}
    problems = []
    if "id" in row.cells:
        values["id"] = row.cells["id"].strip()
    if "name" in row.cells:
        values["name"] = service.clean_name(row.cells["name"])
        if not values["name"] or len(values["name"]) > service.MAX_NAME:
            problems.append(f"name: Enter a name of at most {service.MAX_NAME} characters.")
    if "mac_addresses" in row.cells:
        macs = row.cells["mac_addresses"].replace(",", " ").replace(";", " ").split()
        wrong = next((text for text in macs if not normalize_mac(text)), None)
        if wrong is not None:
            problems.append(
                f"mac_addresses: {wrong[:40]} is not a device's MAC address: 12 hexadecimal digits."
            )
        values["mac_addresses"] = sorted({normalize_mac(text) for text in macs})
        if len(macs) > service.MAX_MACS:
            problems.append(f"mac_addresses: At most {service.MAX_MACS} addresses.")
    if OWNER in row.cells:
        values[OWNER] = row.cells[OWNER].strip()
    name = values.get("name", "")
    return Candidate(row.line, name, values, text_key(name), problem=" ".join(problems))


def _present(
    session: Session, organization_id: str, ids: Sequence[str], *, lock: bool
) -> dict[str, _Present]:
    statement = (
        select(Asset.id, Asset.name, Asset.end_user_id, EndUser.email, Asset.assigned_by, Asset.updated_at)
        .outerjoin(EndUser, EndUser.id == Asset.end_user_id)
        .where(Asset.id.in_(ids), Asset.organization_id == organization_id)
        .order_by(Asset.id)
    )
    if lock:
        statement = statement.with_for_update(of=Asset)
    rows = session.execute(statement).all()
    macs: dict[str, set[str]] = defaultdict(set)
    for asset_id, mac in session.execute(
        select(AssetMac.asset_id, AssetMac.mac).where(AssetMac.asset_id.in_(ids))
    ):
        macs[asset_id].add(mac)
    return {
        i: _Present(i, name, frozenset(macs[i]), owner, email or "", by, at)
        for i, name, owner, email, by, at in rows
    }


def _owners(session: Session, organization_id: str, keys: set[str]) -> dict[str, str]:
    rows = session.execute(
        select(EndUser.email_key, EndUser.id).where(
            EndUser.organization_id == organization_id, EndUser.email_key.in_(keys)
        )
    )
    return {str(key): end_user_id for key, end_user_id in rows}


def _planned(candidate: Candidate, present: Mapping[str, _Present], owners: Mapping[str, str]) -> Planned:
    if candidate.problem:
        return rejected(candidate, candidate.problem)
    email = candidate.values.get(OWNER)
    owner = owners.get(email_key(email)) if email else None
    if email and owner is None:
        return rejected(candidate, f"{OWNER}: There is no End User with the email {email}.")
    row = present.get(candidate.target_id) if candidate.target_id else None
    if candidate.target_id and row is None:
        return rejected(candidate, "This Asset was deleted while the file was read. Import it again.")
    name = candidate.values.get("name", "" if row is None else row.name)
    if not name:
        return rejected(candidate, "name: Enter a name.")
    fields: list[dict[str, str]] = []
    columns: dict[str, Any] = {}
    before: dict[str, Any] = {}
    old = row or _Present("", "", frozenset(), None, "", None, datetime.min)  # noqa: DTZ901
    if name != old.name and name != service.clean_name(old.name):
        columns["name"] = name
        fields.append(changed("name", old.name, name))
    macs = candidate.values.get("mac_addresses")
    if macs is not None and set(macs) != old.macs:
        columns["macs"] = macs
        fields.append(changed("mac_addresses", _macs_text(old.macs), _macs_text(macs)))
    if email is not None and owner != old.end_user_id:
        columns |= {"end_user_id": owner, "assigned_by": "manual" if owner else None}
        before |= {"end_user_id": [old.end_user_id, owner], "assigned_by": old.assigned_by}
        fields.append(changed(OWNER, old.end_user_email, email))
    if row is None:
        before = {"name": name, "macs": sorted(macs or ()), "end_user_id": [None, owner]}
        return Planned(candidate.line, Action.CREATE, name, new_id(), fields, columns=columns, before=before)
    if not fields:
        return Planned(candidate.line, Action.UNCHANGED, name, row.id)
    before["updated_at"] = row.updated_at.isoformat()
    return Planned(candidate.line, Action.UPDATE, name, row.id, fields, columns=columns, before=before)


def _macs_text(macs: Iterable[str]) -> str:
    return " ".join(service.shown_mac(mac) for mac in sorted(macs))


def _own_columns(columns: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in columns.items() if name != "macs"}
    return own | {"sort_key": natural_key(own["name"])} if "name" in own else own


def _update(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write each row's columns, one statement for all rows that have the same ones; ``macs`` replace what was there."""
    update_rows(session, Asset, [_own_columns(row) for row in rows], keys=("id",))
    replaced = {row["id"]: row for row in rows if "macs" in row}
    if replaced:
        session.connection().execute(delete(AssetMac).where(AssetMac.asset_id.in_(replaced)))
        _write_macs(session, replaced)


def _write_macs(session: Session, columns: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [{"asset_id": i, "mac": mac} for i, values in columns.items() for mac in values.get("macs", ())]
    insert_rows(session, AssetMac, rows)


def _undo_step(record: ImportRow, row: _Present | None, people: set[str]) -> UndoStep:
    def step(**more: Any) -> UndoStep:
        return UndoStep(record.line, record.object_id or "", record.name, **more)

    if row is None:
        return step(reasons=[GONE])
    if record.action == Action.CREATE:
        created = record.before
        is_same = (row.name, sorted(row.macs)) == (created["name"], created["macs"])
        has_owner = row.assigned_by == "sync" or row.end_user_id in {None, created["end_user_id"][1]}
        return step(delete=True) if is_same and has_owner else step(reasons=[EDITED])
    back: list[dict[str, str]] = []
    columns: dict[str, Any] = {}
    spared = []
    for entry in record.fields:
        name, old, new = entry["field"], entry["old"], entry["new"]
        if name == OWNER:
            former, assigned = record.before["end_user_id"]
            is_there, is_back = row.end_user_id == assigned, row.end_user_id == former
            if is_there and former is not None and former not in people:
                spared.append(f"{OWNER}: the previous one was {GONE}")
                continue
            value: dict[str, Any] = {"end_user_id": former, "assigned_by": record.before["assigned_by"]}
        else:
            present = row.name if name == "name" else _macs_text(row.macs)
            is_there, is_back = present == new, present == old
            value = {"name": old} if name == "name" else {"macs": [normalize_mac(mac) for mac in old.split()]}
        if is_there and not is_back:
            back.append(changed(name, new, old))
            columns |= value
        elif not is_back:
            spared.append(f"{name} was {EDITED}")
    if back and not spared and row.updated_at == record.at:
        columns["updated_at"] = former_time(record.before["updated_at"])
    return step(fields=back, columns=columns, reasons=spared)
