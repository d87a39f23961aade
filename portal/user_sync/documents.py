"""A User Sync's request, which enables or edits it, and its document."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from portal.engine.explain import SECTION_LABELS
from portal.engine.records import SECTIONS, FilterSpec, HoldRule, SectionFilter
from portal.engine.scope import spec_from_json, spec_to_json, value_key
from portal.errors import Invalid
from portal.models import MicrosoftTenant, SyncRun, UserSync

MAX_VALUES = 5_000
MAX_LENGTH = 1_024
MAX_MINIMUM = 1_000_000


@dataclass(frozen=True)
class SyncRequest:
    """The requested User Sync: filters, add rules (U9), agents (S8), and the hold's threshold (G1)."""

    filters: FilterSpec = field(default_factory=FilterSpec)
    hold: HoldRule = field(default_factory=HoldRule)


def parse(body: Mapping[str, Any]) -> SyncRequest:
    """Read a request of the shape of PUT's body. Raises Invalid per section (U3) or threshold.

    Types are the API schema's or the form's business; here is what the words must mean.
    """
    errors: dict[str, list[str]] = {}
    filters: Mapping[str, Any] = body.get("filters") or {}
    sections = {name: _section(name, filters.get(name), errors) for name in SECTIONS}
    hold: Mapping[str, Any] = body.get("hold") or {}
    default = HoldRule()
    percent, minimum = hold.get("percent", default.percent), hold.get("minimum", default.minimum)
    if not 0 <= percent <= 100:
        errors["hold.percent"] = ["A whole number from 0 to 100."]
    if not 0 <= minimum <= MAX_MINIMUM:
        errors["hold.minimum"] = [f"A whole number from 0 to {MAX_MINIMUM:,}."]
    if errors:
        raise Invalid(errors)
    spec = FilterSpec(
        **sections,
        add_disabled_accounts=bool(body.get("add_disabled_accounts", False)),
        only_licensed=bool(body.get("only_licensed", False)),
        include_agents=bool(body.get("include_agents", False)),
    )
    return SyncRequest(spec, HoldRule(percent=percent, minimum=minimum))


def draft(body: Mapping[str, Any]) -> SyncRequest:
    """A request that is still being edited: a section with nothing checked accepts nobody instead of raising."""
    spec = spec_from_json(
        body["filters"],
        add_disabled_accounts=bool(body.get("add_disabled_accounts", False)),
        only_licensed=bool(body.get("only_licensed", False)),
    )
    spec = replace(spec, include_agents=bool(body.get("include_agents", False)))
    hold: Mapping[str, Any] = body.get("hold") or {}
    default = HoldRule()
    rule = HoldRule(
        percent=hold.get("percent", default.percent), minimum=hold.get("minimum", default.minimum)
    )
    return SyncRequest(spec, rule)


def check_groups(request: SyncRequest, known_ids: Collection[str]) -> None:
    """Refuse group ids that neither Microsoft nor the saved filter has. Raises Invalid."""
    if request.filters.group.all:
        return
    unknown = [value for value in request.filters.group.values if value not in known_ids]
    if unknown:
        names = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
        raise Invalid({"filters.group": [f"This Microsoft tenant has no group with the id {names}."]})


def saved_request(row: UserSync) -> dict[str, Any]:
    """The present settings of a User Sync, in the shape of PUT's body."""
    return {
        "filters": row.filters,
        "add_disabled_accounts": row.add_disabled_accounts,
        "only_licensed": row.only_licensed,
        "include_agents": row.include_agents,
        "hold": {"percent": row.hold_percent, "minimum": row.hold_minimum},
    }


def default_request() -> dict[str, Any]:
    """What the pop-up starts with: everything, add rules off."""
    hold = HoldRule()
    return {
        "filters": spec_to_json(FilterSpec()),
        "add_disabled_accounts": False,
        "only_licensed": False,
        "include_agents": False,
        "hold": {"percent": hold.percent, "minimum": hold.minimum},
    }


def status_of(row: UserSync | None, microsoft_tenant: MicrosoftTenant | None) -> str:
    """not_set_up | paused | needs_attention | processing | enabled; the first that fits, in this order.

    paused: a hold waits for an administrator (G1). needs_attention: three failures in a row, a deleted filter group, or
    Microsoft refuses the connection (G2, S6). processing: the initial sync is not over.
    """
    if row is None or not row.enabled:
        return "not_set_up"
    if row.hold_run_id is not None:
        return "paused"
    if row.attention or (microsoft_tenant is not None and microsoft_tenant.state == "needs_attention"):
        return "needs_attention"
    return "processing" if row.initial_done_at is None else "enabled"


def attention_of(row: UserSync | None, microsoft_tenant: MicrosoftTenant | None) -> str | None:
    """The sentence behind "needs attention"; None when nothing does."""
    if row is None or not row.enabled:
        return None
    if row.attention:
        return row.attention
    if microsoft_tenant is not None and microsoft_tenant.state == "needs_attention":
        return microsoft_tenant.problem
    return None


def to_document(
    row: UserSync | None,
    microsoft_tenant: MicrosoftTenant | None,
    last_run: dict[str, Any] | None,
    next_run_at: datetime | None,
) -> dict[str, Any]:
    """The User Sync of one Organization; a sync never set up shows the default filters."""
    return {
        "status": status_of(row, microsoft_tenant),
        **(default_request() if row is None else saved_request(row)),
        "attention": attention_of(row, microsoft_tenant),
        "last_run": last_run,
        "next_run_at": next_run_at,
    }


def run_document(row: SyncRun) -> dict[str, Any]:
    """A Sync Run as the API shows it."""
    return {
        "id": row.id,
        "organization_id": row.organization_id,
        "kind": row.kind,
        "undoes_run_id": row.undoes_run_id,
        "trigger": row.trigger,
        "only_object_id": row.only_object_id,
        "lane": row.lane,
        "status": row.status,
        "phase": row.phase,
        "progress": {"done": row.done, "total": row.total},
        "counts": no_counts() | row.counts,  # a run under way has counted some things only
        "held": row.held,
        "graph_requests": row.graph_requests,
        "throttled_seconds": row.throttled_seconds,
        "started_by": row.started_by,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "error": row.error,
        "error_code": row.error_code,
        "warnings": list(row.warnings),
    }


def no_counts() -> dict[str, int]:
    """The counts of a run that has not decided anything yet."""
    names = "read in_scope out_of_scope skipped created linked updated unchanged disabled enabled conflicts held gone"
    return dict.fromkeys(names.split(), 0)


def _section(name: str, section: Mapping[str, Any] | None, errors: dict[str, list[str]]) -> SectionFilter:
    key = f"filters.{name}"
    if section is None:
        errors[key] = ["This section is missing. All five are required."]
        return SectionFilter()
    accepts_all = bool(section.get("all", False))
    spelled: dict[str, str] = {}  # one entry per value (S3), as it was written first
    for value in section.get("values", ()):
        spelled.setdefault(value_key(name, str(value)), _value(name, str(value)))
    values = tuple(spelled.values())
    if len(values) > MAX_VALUES:
        errors[key] = [f"At most {MAX_VALUES:,} values. Check All instead."]
    elif any(len(value) > MAX_LENGTH for value in values):
        errors[key] = [f"A value is longer than {MAX_LENGTH:,} characters."]
    elif not accepts_all and not values:
        errors[key] = [
            f"Check at least one {SECTION_LABELS[name].lower()}, or All. With nothing checked, nobody could ever match."
        ]
    return SectionFilter(all=accepts_all, values=values)


def _value(section: str, value: str) -> str:
    """Group ids and domains in lower case, as they are compared; texts as typed: ``scope`` makes their keys."""
    if section == "group":
        return value_key(section, value)
    return value.strip().lower() if section == "domain" else value
