"""End Users of a file: matched by e-mail, never by name; what Microsoft manages is left to it (M4, W6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from portal.clock import utcnow
from portal.end_users import listing as end_user_list
from portal.end_users import service
from portal.engine import people_version
from portal.engine.bulk import insert_rows, update_rows
from portal.engine.normalize import clean
from portal.engine.records import D1_FIELDS
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
from portal.models import Asset, EndUser, ImportRow, Organization, SyncException, Tenant, UserSync, new_id
from portal.models.customers import no_link, search_columns
from portal.text import email_key, text_key

_OWN = frozenset(service.EDITABLE) - {"email"}
NAMES = ("first_name", "last_name")
MANAGED = "managed by Microsoft: change it in Entra, it is here within the hour"
LABELS = {
    "name": "display_name",
    "mail": "email",
    "e-mail": "email",
    "email address": "email",
    "mobile": "mobile_phone",
    "office": "office_location",
    "state/province": "state",
    "state or province": "state",
    "zip/postal code": "postal_code",
    "zip or postal code": "postal_code",
    "microsoft license": "licenses",
    "last microsoft activity": "last_sign_in_at",
    "status": "microsoft_status",
}
_READ = (
    EndUser.id,
    EndUser.email_key,
    EndUser.edited_at,
    EndUser.updated_at,
    EndUser.microsoft_tenant_id,
    EndUser.microsoft_status,
    EndUser.in_scope,
    *(getattr(EndUser, name) for name in service.EDITABLE),
)
# Made once, as there are hundreds of transactions; by whether the rows are locked. In the order of ids, so that no two
# transactions wait for each other.
_ALL = select(*_READ).order_by(EndUser.id)
_KEYED = _ALL.where(
    EndUser.organization_id == bindparam("organization_id"),
    EndUser.email_key.in_(bindparam("keys", expanding=True)),
)
_NAMED = _ALL.where(EndUser.id.in_(bindparam("ids", expanding=True)))
_BY_KEY = {False: _KEYED, True: _KEYED.with_for_update()}
_BY_ID = {False: _NAMED, True: _NAMED.with_for_update()}


class EndUserImporter:
    """Creates and updates End Users by e-mail."""

    columns = Columns(
        fields=service.EDITABLE,
        required=("email",),
        ignored=frozenset({*end_user_list.READ_ONLY_COLUMNS, "assets", "microsoft"}),
        labels={text_key(label): name for label, name in LABELS.items()},
    )

    def match(
        self,
        session: Session,
        organization_id: str,
        rows: Iterable[Row],
        written: Mapping[int, str] = NOTHING,
    ) -> Iterator[Candidate]:
        """Check each row; an address that stood in the file before is rejected with the number of its line."""
        del session, organization_id, written  # the address says who is meant, whoever is here
        return _candidates(rows)

    def plan(
        self, session: Session, organization_id: str, candidates: Sequence[Candidate], *, lock: bool = False
    ) -> list[Planned]:
        """Compare with who is here now."""
        keys = [candidate.key for candidate in candidates if not candidate.problem]
        rows = session.execute(_BY_KEY[lock], {"organization_id": organization_id, "keys": keys})
        present = {row["email_key"]: row for row in rows.mappings()}
        locked = _Locked(session, organization_id, present.values())
        return [
            _planned(candidate, present.get(candidate.key), locked, names_fields=not lock)
            for candidate in candidates
        ]

    def write(
        self, session: Session, organization_id: str, planned: Sequence[Planned], now: datetime
    ) -> None:
        """Insert and update in bulk. With ``undo`` the only writer of End Users here."""
        people_version.touch(session, [organization_id])
        blank = {
            **dict.fromkeys(service.EDITABLE, ""),
            **no_link(),
            "organization_id": organization_id,
            "source": "import",
            "created_by_run_id": None,
            "created_at": now,
            "updated_at": now,
            "edited_at": now,
        }
        inserts = [
            {**blank, **planned_row.columns, "id": planned_row.object_id}
            for planned_row in planned
            if planned_row.action is Action.CREATE
        ]
        insert_rows(session, EndUser, inserts)
        # The next sync decides again about the people that were changed.
        times = {"updated_at": now, "edited_at": now, "applied_hash": ""}
        changes = [
            {**planned_row.columns, **times, "id": planned_row.object_id}
            for planned_row in planned
            if planned_row.action is Action.UPDATE
        ]
        update_rows(session, EndUser, changes, keys=("id",))

    def plan_undo(
        self, session: Session, organization_id: str, rows: Sequence[ImportRow], *, lock: bool = False
    ) -> list[UndoStep]:
        """Created people are deleted unless edited, linked or given Assets since; fields are restored unless edited since."""
        ids = [row.object_id for row in rows if row.object_id]
        people = session.execute(_BY_ID[lock], {"ids": ids})
        present = {row["id"]: row for row in people.mappings()}
        created = [row.object_id for row in rows if row.action == Action.CREATE]
        owners = set(
            session.scalars(
                select(Asset.end_user_id).where(Asset.end_user_id.in_(created), Asset.assigned_by == "manual")
            )
        )
        locked = _Locked(session, organization_id, present.values())
        return [_undo_step(row, present.get(row.object_id or ""), owners, locked) for row in rows]

    def undo(self, session: Session, steps: Sequence[UndoStep], now: datetime) -> None:
        """Write it back; whoever has not been edited otherwise since also gets back when that was."""
        service.delete_all(session, [step.object_id for step in steps if step.delete])
        blank = {"updated_at": now, "applied_hash": ""}
        rows = [{**blank, **step.columns, "id": step.object_id} for step in steps if step.fields]
        update_rows(session, EndUser, rows, keys=("id",))
        ids = [step.object_id for step in steps if step.fields]
        people_version.touch(session, people_version.organizations_of(session, ids))


class _Locked:
    """Which fields of whom an import leaves to Microsoft, as ``service.locked_fields`` says of one person (W6, R4)."""

    def __init__(self, session: Session, organization_id: str, people: Iterable[Mapping[Any, Any]]) -> None:
        synced_with = session.scalar(
            select(Tenant.microsoft_tenant_id)
            .join(Organization, Organization.tenant_id == Tenant.id)
            .join(UserSync, UserSync.organization_id == Organization.id)
            .where(Organization.id == organization_id, UserSync.enabled.is_(True))
        )
        managed = [
            row["id"]
            for row in people
            if row["in_scope"] and synced_with is not None and row["microsoft_tenant_id"] == synced_with
        ]
        self._managed = set(managed)
        self._pinned: set[tuple[str | None, str | None]] = set()
        if managed:
            pins = select(SyncException).where(
                SyncException.organization_id == organization_id, SyncException.kind == "pin"
            )
            now = utcnow()
            self._pinned = {
                (pin.end_user_id, pin.field)
                for pin in session.scalars(pins)
                if pin.expires_at is None or pin.expires_at > now
            }

    def has(self, end_user_id: str, name: str) -> bool:
        """True when this field of this person is Microsoft's."""
        return end_user_id in self._managed and name in D1_FIELDS and (end_user_id, name) not in self._pinned


def _candidates(rows: Iterable[Row]) -> Iterator[Candidate]:
    """One row after the other, as they are asked for: an import checks some while it holds no lock."""
    first_lines = dict[str, int]()
    for row in rows:
        candidate = _candidate(row)
        before = first_lines.setdefault(candidate.key, row.line) if candidate.key else row.line
        if before != row.line:
            problem = f"This email address is already in line {before}."
            candidate = Candidate(row.line, candidate.name, problem=problem)
        yield candidate


def _candidate(row: Row) -> Candidate:
    name = row.cells.get("display_name") or row.cells.get("email", "")
    if row.problem:
        return Candidate(row.line, problem=row.problem)
    address = clean(row.cells.get("email", ""))
    key = email_key(address)
    if not key:
        return Candidate(row.line, name, problem="The email address is missing.")
    values, errors = service.check_fields(
        {column: text for column, text in row.cells.items() if column in _OWN}
    )
    if errors:
        return Candidate(row.line, name, problem=_error_text(errors))
    # Somebody who is here may have one that Microsoft gave and that we would refuse.
    email, errors = service.check_fields({"email": address})
    if not errors:
        values |= email
    return Candidate(row.line, name, values, key, if_new=_error_text(errors))


def _error_text(errors: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{column}: {' '.join(texts)}" for column, texts in errors.items())


def _planned(
    candidate: Candidate, row: Mapping[Any, Any] | None, locked: _Locked, *, names_fields: bool
) -> Planned:
    """names_fields: also name the fields of somebody new, which nobody keeps (``runner``)."""
    if candidate.problem:
        return rejected(candidate, candidate.problem)
    if row is None:
        return _new(candidate, names_fields=names_fields)
    # What differs only in how the same text is stored is no difference: an export comes back unchanged.
    fields = [
        changed(name, row[name], value)
        for name, value in candidate.values.items()
        if name != "email" and row[name] != value and _stored(name, row[name]) != value
    ]
    full_name = str(row["display_name"])
    managed = [entry["field"] for entry in fields if locked.has(row["id"], entry["field"])]
    if managed:
        return rejected(candidate, f"{', '.join(managed)}: {MANAGED}.")
    if any(entry["field"] == "display_name" and not entry["new"] for entry in fields):
        return rejected(candidate, "display_name: everyone needs a name.")
    if not fields:
        return Planned(candidate.line, Action.UNCHANGED, full_name, row["id"])
    columns: dict[str, Any] = {entry["field"]: entry["new"] for entry in fields}
    return Planned(
        candidate.line,
        Action.UPDATE,
        columns.get("display_name", full_name),
        row["id"],
        fields,
        columns=_with_search(row, columns),
        before=_times(row),
    )


def _new(candidate: Candidate, *, names_fields: bool) -> Planned:
    if candidate.if_new:
        return rejected(candidate, candidate.if_new)
    values = {name: value for name, value in candidate.values.items() if value}
    name = values.get("display_name") or " ".join(values[part] for part in NAMES if part in values)
    if not name:
        return rejected(candidate, "No End User has this email address, and the row has no name to add one.")
    values["display_name"] = name
    columns = {**values, **search_columns(values)}
    fields = [changed(column, "", value) for column, value in values.items()] if names_fields else []
    return Planned(candidate.line, Action.CREATE, name, new_id(), fields, columns=columns)


def _stored(name: str, value: str) -> str:
    return clean(value, lines=name in service.LINES)


def _with_search(row: Mapping[Any, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    """The columns with those computed from them; the address stays as it is, and so does its key."""
    computed = search_columns({**{name: row[name] for name in service.EDITABLE}, **columns})
    computed.pop("email_key")
    return {**columns, **computed}


def _times(row: Mapping[Any, Any]) -> dict[str, str | None]:
    edited = row["edited_at"]
    return {
        "edited_at": None if edited is None else edited.isoformat(),
        "updated_at": row["updated_at"].isoformat(),
    }


def _undo_step(
    record: ImportRow, row: Mapping[Any, Any] | None, owners: set[str | None], locked: _Locked
) -> UndoStep:
    def step(**more: Any) -> UndoStep:
        return UndoStep(record.line, record.object_id or "", record.name, **more)

    if row is None:
        return step(reasons=[GONE])
    if record.action == Action.CREATE:
        spared = [EDITED] if row["edited_at"] != record.at else []
        spared += ["linked to Microsoft since"] if row["microsoft_status"] != "none" else []
        spared += ["owns Assets that were assigned by hand"] if row["id"] in owners else []
        return step(reasons=spared) if spared else step(delete=True)
    back: list[dict[str, str]] = []
    spared = []
    for entry in record.fields:
        name, present = entry["field"], row[entry["field"]]
        if present == entry["old"]:
            continue
        if present != entry["new"]:
            spared.append(f"{name} was {EDITED}")
        elif locked.has(row["id"], name):
            spared.append(f"{name} is now managed by Microsoft")
        else:
            back.append(changed(name, present, entry["old"]))
    if not back:
        return step(reasons=spared)
    columns = _with_search(row, {entry["field"]: entry["new"] for entry in back})
    if not spared and row["edited_at"] == record.at:
        times = {name: record.before.get(name) for name in ("edited_at", "updated_at")}
        columns |= {name: None if text is None else former_time(text) for name, text in times.items()}
    return step(fields=back, columns=columns, reasons=spared)
