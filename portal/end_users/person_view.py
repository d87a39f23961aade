"""What the page of one End User shows: Microsoft's facts, the fields and who decides about each, Assets, history (P6). No queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wtforms import Field

from portal.assets.views import macs_in_words
from portal.end_users.forms import EndUserForm
from portal.end_users.history import LIMIT, Entry
from portal.engine.explain import CHANGE_LABELS
from portal.http.access import may
from portal.models import EndUser, MicrosoftTenant, Organization, Role, SyncException, SyncRun
from portal.runs import views as runs

SOURCES = {"manual": "Added by hand", "import": "Imported", "sync": "Added by the sync"}
SLOW_PARTS = {"sign_ins": "Last sign-in", "mfa": "MFA"}
ASSIGNED = {"sync": "By the sync, same MAC as an Intune device"}
WIDE = ("display_name", "street_address")
FOLDED = 6  # fields of one change above which they fold away
READ_ONLY = "Your role is Read-only."


@dataclass(frozen=True)
class MicrosoftFacts:
    """What Microsoft says. document: as the API has it. sign_ins_at, mfa_at: how old that is; notes: what could not be read.

    source: where the person came from; run_id: of the run that linked or made them, "" when it is forgotten.
    """

    document: Mapping[str, Any]
    sign_ins_at: datetime | None
    mfa_at: datetime | None
    latest_run_id: str
    source: str
    is_made_by_sync: bool
    run_id: str
    notes: Sequence[str]


@dataclass(frozen=True)
class Pin:
    """A pinned field: who keeps our value, why and until when. theirs: what Microsoft has, None when that is not known."""

    id: str
    author: str
    reason: str
    expires_at: datetime | None
    theirs: str | None


@dataclass(frozen=True)
class FieldView:
    """One field of the form. locked: why it cannot be edited, "" when it can."""

    field: Field
    is_wide: bool
    locked: str
    pin: Pin | None
    may_pin: bool


@dataclass(frozen=True)
class AssetRow:
    """An Asset of the person. macs, assigned: in words."""

    id: str
    name: str
    macs: str
    assigned: str


@dataclass(frozen=True)
class HistoryRow:
    """One line of the history. decision, state: of a run's change, "" for a person's, which ``word`` says. is_folded: many fields."""

    at: datetime
    decision: str
    state: str
    word: str
    note: str
    changes: Sequence[tuple[str, str, str]]
    named: Sequence[str]
    is_folded: bool
    run_id: str
    by: str
    by_note: str


@dataclass(frozen=True)
class PersonView:
    """The page. facts: what stands under the name; why_locked: said beside the form's head, "" for nothing."""

    person: EndUser
    organization: Organization
    facts: str
    can_sync: bool
    microsoft: MicrosoftFacts | None
    why_locked: str
    fields: Sequence[FieldView]
    assets: Sequence[AssetRow]
    history: Sequence[HistoryRow]

    @property
    def pins(self) -> list[Pin]:
        """Those in force."""
        return [field.pin for field in self.fields if field.pin is not None]

    @property
    def history_limit(self) -> int:
        """How many entries are shown when there may be more, 0 otherwise."""
        return LIMIT if len(self.history) == LIMIT else 0


def person_view(
    person: EndUser,
    organization: Organization,
    *,
    microsoft: MicrosoftFacts | None,
    is_synced: bool,
    locked: Mapping[str, str],
    fields: Sequence[FieldView],
    history: Iterable[Entry],
    products: Mapping[str, str],
) -> PersonView:
    """The record of the page. locked: field → why; products: sku id → name."""
    subtitle = (person.job_title, person.office_location, person.city)
    return PersonView(
        person=person,
        organization=organization,
        facts=" · ".join(text for text in subtitle if text),
        can_sync=is_synced,
        microsoft=microsoft,
        why_locked=next(iter(locked.values()), "") if may(Role.TECHNICIAN) else READ_ONLY,
        fields=fields,
        assets=[
            AssetRow(
                asset.id,
                asset.name,
                macs_in_words(asset),
                ASSIGNED.get(asset.assigned_by or "", "By hand"),
            )
            for asset in person.assets
        ],
        history=[_history_row(entry, products) for entry in history],
    )


def microsoft_facts(
    person: EndUser,
    document: Mapping[str, Any],
    microsoft_tenant: MicrosoftTenant | None,
    *,
    linked_by: SyncRun | None,
    latest_run_id: str,
) -> MicrosoftFacts:
    """What Microsoft says of somebody linked. document: the person's ``microsoft`` as the API has it."""
    problems = microsoft_tenant.slow_problems if microsoft_tenant is not None else ()
    return MicrosoftFacts(
        document=document,
        sign_ins_at=None if microsoft_tenant is None else microsoft_tenant.sign_ins_at,
        mfa_at=None if microsoft_tenant is None else microsoft_tenant.mfa_at,
        latest_run_id=latest_run_id,
        source=SOURCES.get(person.source, person.source),
        is_made_by_sync=person.source == "sync",
        run_id="" if linked_by is None else linked_by.id,
        notes=[
            f"{SLOW_PARTS.get(problem['part'], problem['part'])}: {problem['detail']}"
            for problem in problems
            if problem["part"] != "devices"
        ],
    )


def field_views(
    form: EndUserForm,
    locked: Mapping[str, str],
    pins: Mapping[str, SyncException],
    theirs: Mapping[str, str],
) -> list[FieldView]:
    """The fields of the form but the notes. theirs: what Microsoft has in the pinned ones."""
    why = "" if may(Role.TECHNICIAN) else READ_ONLY
    return [
        FieldView(
            field=field,
            is_wide=field.name in WIDE,
            locked=locked.get(field.name) or why,
            pin=_pin(pins[field.name], theirs) if field.name in pins else None,
            may_pin=field.name in locked and may(Role.TECHNICIAN),
        )
        for field in form
        if field.name not in {"csrf_token", "notes"}
    ]


def _pin(row: SyncException, theirs: Mapping[str, str]) -> Pin:
    return Pin(row.id, row.author, row.reason, row.expires_at, theirs.get(row.field or ""))


def _history_row(entry: Entry, products: Mapping[str, str]) -> HistoryRow:
    change, run = entry.change, entry.run
    return HistoryRow(
        at=entry.at,
        decision="" if change is None else change.decision,
        state="" if change is None else change.state,
        word=entry.word,
        note=entry.note,
        changes=[
            (
                _label(field["field"]),
                runs.shown_value(field["field"], field["old"], products),
                runs.shown_value(field["field"], field["new"], products),
            )
            for field in entry.fields
        ],
        named=[CHANGE_LABELS.get(name, name.capitalize()) for name in entry.named],
        is_folded=(change is not None and change.decision == "create") or len(entry.fields) > FOLDED,
        run_id="" if run is None else run.id,
        by=entry.who if run is None else runs.short_title(run),
        by_note=entry.door if run is None else run.started_by or "",
    )


def _label(field: str) -> str:
    return CHANGE_LABELS.get(field, field)
