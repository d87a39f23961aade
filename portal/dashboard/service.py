"""The dashboard's figures, and what its charts are drawn from (P9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from sqlalchemy import Label, case, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.models import (
    Change,
    EndUser,
    MicrosoftTenant,
    Organization,
    SubscribedSku,
    SyncRun,
    Tenant,
    UserSync,
)
from portal.models.microsoft import IS_CONNECTED

DAYS = 14
KINDS: Mapping[str, tuple[str, ...]] = {
    "new": ("create", "link"),
    "updated": ("update",),
    "marked": ("mark_disabled", "mark_enabled"),
}


@dataclass(frozen=True)
class Day:
    """One day of the charts: changes by kind, all runs, and those of them that did not succeed."""

    day: date
    changes: Mapping[str, int]
    failures: int
    runs: int
    partial: int = 0
    held: int = 0

    @property
    def troubled(self) -> int:
        """Runs that failed, were partial or are held."""
        return self.failures + self.partial + self.held


@dataclass(frozen=True)
class MfaCoverage:
    """How many linked, active End Users of one Organization have MFA, out of ``people`` whose MFA state Microsoft reports."""

    organization: Organization
    registered: int
    people: int

    @property
    def percent(self) -> int:
        """Whole percent; 0 when nobody's state is reported."""
        return round(100 * self.registered / self.people) if self.people else 0


def sync_states(session: Session) -> dict[str, int]:
    """How many enabled syncs are processing, paused, or need attention: as ``user_sync`` says of each."""
    rows = session.execute(
        select(
            UserSync.hold_run_id.is_not(None),
            UserSync.attention.is_not(None) | (func.coalesce(MicrosoftTenant.state, "") == "needs_attention"),
            UserSync.initial_done_at.is_(None),
        )
        .join(Organization, Organization.id == UserSync.organization_id)
        .join(Tenant, Tenant.id == Organization.tenant_id)
        .outerjoin(MicrosoftTenant, MicrosoftTenant.id == Tenant.microsoft_tenant_id)
        .where(UserSync.enabled.is_(True))
    ).all()
    totals = {"processing": 0, "paused": 0, "needs_attention": 0}
    for is_paused, needs_attention, is_initial in rows:
        if is_paused:
            totals["paused"] += 1
        elif needs_attention:
            totals["needs_attention"] += 1
        elif is_initial:
            totals["processing"] += 1
    return totals


@dataclass(frozen=True)
class LastDay:
    """The last 24 hours: runs by status and people changed by decision."""

    runs: Mapping[str, int]
    people: Mapping[str, int]


def last_day(session: Session, now: datetime) -> LastDay:
    """What ran and who was changed since this time yesterday."""
    since = now - timedelta(days=1)
    runs = session.execute(
        select(SyncRun.status, func.count()).where(SyncRun.created_at >= since).group_by(SyncRun.status)
    )
    people = session.execute(
        select(Change.decision, func.count())
        .where(
            Change.at >= since,
            Change.state == "applied",
            Change.decision.not_in(("skip", "conflict", "leave")),
        )
        .group_by(Change.decision)
    )
    return LastDay({status: number for status, number in runs}, {word: number for word, number in people})


@dataclass(frozen=True)
class MfaTotal:
    """Over all Organizations: registered out of ``people`` whose MFA state is reported, and how many have none."""

    registered: int
    people: int
    unknown: int


def mfa_total(session: Session) -> MfaTotal:
    """MFA of all active, linked people."""
    rows = session.execute(
        select(EndUser.mfa_registered, func.count())
        .where(EndUser.microsoft_status == "active")
        .group_by(EndUser.mfa_registered)
    )
    totals = {state: number for state, number in rows}
    return MfaTotal(totals.get(True, 0), totals.get(True, 0) + totals.get(False, 0), totals.get(None, 0))


def recent_runs(session: Session) -> list[tuple[SyncRun, str]]:
    """The latest runs that changed something or did not succeed, with their Organization's name."""
    changed = select(Change.id).where(
        Change.run_id == SyncRun.id,
        Change.state.in_(("applied", "held")),
        Change.decision.not_in(("skip", "conflict")),  # they leave a row in every run, and change nothing
    )
    rows = session.execute(
        select(SyncRun, Organization.name)
        .join(Organization, Organization.id == SyncRun.organization_id)
        .where((SyncRun.status != "succeeded") | changed.exists())
        .order_by(SyncRun.created_at.desc(), SyncRun.id)
        .limit(6)
    )
    return [(run, name) for run, name in rows]


def figures(session: Session) -> dict[str, int]:
    """The four figures: Organizations that sync, End Users, linked ones, Disabled in Microsoft."""
    count = func.count()
    rows = session.execute(select(EndUser.microsoft_status, count).group_by(EndUser.microsoft_status))
    by_status: dict[str, int] = {status: number for status, number in rows}
    return {
        "organizations": session.scalar(select(count).select_from(Organization)) or 0,
        "syncing": session.scalar(select(count).select_from(UserSync).where(UserSync.enabled.is_(True))) or 0,
        "end_users": sum(by_status.values()),
        "linked": by_status.get("active", 0) + by_status.get("disabled", 0),
        "disabled": by_status.get("disabled", 0),
        "microsoft_tenants": session.scalar(select(count).select_from(MicrosoftTenant).where(IS_CONNECTED))
        or 0,
    }


def days(session: Session, now: datetime, zone: tzinfo = UTC) -> list[Day]:
    """The last fourteen days of ``zone``, oldest first."""
    today = now.astimezone(zone).date()
    dates = [today - timedelta(days=DAYS - 1 - offset) for offset in range(DAYS)]
    bounds = [datetime.combine(day, time(), zone).astimezone(UTC) for day in dates]
    start = bounds[0]

    def place_of(moment: InstrumentedAttribute[datetime]) -> Label[int]:
        return case(*((moment >= bound, place) for place, bound in reversed(list(enumerate(bounds))))).label(
            "place"
        )

    changes: dict[int, dict[str, int]] = {}
    applied = (
        select(place_of(Change.at), Change.decision, func.count())
        .where(Change.at >= start, Change.state == "applied")
        .group_by("place", Change.decision)
    )
    for place, decision, number in session.execute(applied):
        for kind, words in KINDS.items():
            if decision in words:
                per_day = changes.setdefault(place, {})
                per_day[kind] = per_day.get(kind, 0) + number
    runs: dict[int, Counter[str]] = {}
    ran = (
        select(place_of(SyncRun.created_at), SyncRun.status, func.count())
        .where(SyncRun.created_at >= start)
        .group_by("place", SyncRun.status)
    )
    for place, status, number in session.execute(ran):
        runs.setdefault(place, Counter())[status] += number
    result = []
    for place, day in enumerate(dates):
        by_status, changed = runs.get(place, Counter[str]()), changes.get(place, {})
        result.append(
            Day(
                day,
                {kind: changed.get(kind, 0) for kind in KINDS},
                by_status["failed"],
                by_status.total(),
                by_status["partial"],
                by_status["held"],
            )
        )
    return result


def lowest_mfa(session: Session) -> list[MfaCoverage]:
    """The Organizations where MFA is missing most, of those with at least one known figure."""
    registered = func.sum(case((EndUser.mfa_registered.is_(True), 1), else_=0))
    known_count = func.count()
    rows = session.execute(
        select(Organization, registered, known_count)
        .join(EndUser, EndUser.organization_id == Organization.id)
        .where(EndUser.microsoft_status == "active", EndUser.mfa_registered.is_not(None))
        .group_by(Organization.id)
        .order_by(registered * 1.0 / known_count, known_count.desc())
        .limit(6)
    )
    return [MfaCoverage(organization, int(good), int(all_)) for organization, good, all_ in rows]


def licenses(session: Session) -> Sequence[tuple[str, int, int]]:
    """(product, assigned, bought) over all Microsoft tenants, the fullest first; free products with huge numbers come last."""
    assigned, bought = func.sum(SubscribedSku.assigned), func.sum(SubscribedSku.bought)
    rows = session.execute(
        select(SubscribedSku.name, assigned, bought)
        .where(SubscribedSku.applies_to == "User", SubscribedSku.bought > 0)
        .group_by(SubscribedSku.name)
        .order_by((assigned * 1.0 / bought).desc(), SubscribedSku.name)
    )
    return [(name, int(used), int(all_)) for name, used, all_ in rows]


def people_per_organization(session: Session) -> Sequence[tuple[Organization, int]]:
    """The largest Organizations by End Users."""
    number = func.count(EndUser.id)
    rows = session.execute(
        select(Organization, number)
        .join(EndUser, EndUser.organization_id == Organization.id)
        .group_by(Organization.id)
        .order_by(number.desc(), Organization.name)
        .limit(8)
    )
    return [(organization, people) for organization, people in rows]
