"""What G1 held back of a run: the facts of its page, the selection, and applying and dismissing all or some of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from werkzeug.datastructures import MultiDict

from portal import audit, locks
from portal.clock import utcnow
from portal.engine import holds
from portal.engine.apply.chunks import Stale
from portal.engine.normalize import parse_time
from portal.engine.records import Action
from portal.errors import Invalid, Refused
from portal.extensions import begin_write, db
from portal.http.listing import Listing
from portal.models import Change, EndUser, SyncRun, UserSync
from portal.runs import service

PER_PAGE = 25
ATTEMPTS = 2  # to apply what is held while others change these people
NAMED = 500  # names in the question whether these shall be decided
NOTHING = "Nothing in this run is held back."
NOBODY = "Check at least one person first."
CHANGED = "Someone else has decided about some of these people. Review who still waits."


@dataclass(frozen=True)
class HoldFacts:
    """What the paused page says (G1). state: waiting | applied | dismissed.

    count: how many were held; waiting: of those, who still waits, or did when the hold ended without a decision; marks,
    creations: of those who wait, whom it would mark Disabled in Microsoft, and whom it would add.
    is_replaced: a later run decided anew about those who waited; replaced_by: that run, while it is kept.
    decided_by, decided_at: who did last, and when; applied, dismissed: how many so far; left_out: of what was to be applied,
    who had changed meanwhile; is_disabled: it ended with the sync, which was disabled.
    """

    count: int
    waiting: int
    marks: int
    creations: int
    state: str
    linked: int
    percent: int
    is_replaced: bool = False
    replaced_by: str | None = None
    decided_by: str = ""
    decided_at: datetime | None = None
    applied: int = 0
    dismissed: int = 0
    left_out: int = 0
    is_disabled: bool = False

    @property
    def settled(self) -> int:
        """How many people have been decided about."""
        return self.applied + self.dismissed + self.left_out


def facts(run: SyncRun) -> HoldFacts | None:
    """The hold of a run in figures; None when nothing was held."""
    if not run.held:
        return None
    held = run.held
    sync = db.session.scalar(select(UserSync).where(UserSync.organization_id == run.organization_id))
    linked = db.session.scalar(
        select(func.count())
        .select_from(EndUser)
        .where(
            EndUser.organization_id == run.organization_id,
            EndUser.microsoft_tenant_id == run.microsoft_tenant_id,
        )
    )
    creations = db.session.scalar(
        select(func.count()).where(
            Change.run_id == run.id, Change.state == "held", Change.decision == Action.CREATE.value
        )
    )
    state, later, count = str(held["state"]), str(held.get("replaced_by", "")), int(held["count"])
    decided = [int(held.get(name, 0)) for name in ("applied", "dismissed", "left_out")]
    ended = state == "waiting" or bool(later) or bool(held.get("is_disabled"))
    return HoldFacts(
        count=count + sum(decided) if ended else count,
        waiting=count if ended else 0,
        marks=count - (creations or 0),
        creations=creations or 0,
        state=state,
        linked=linked or 0,
        percent=25 if sync is None else sync.hold_percent,
        is_replaced=bool(later),
        replaced_by=later if later and db.session.get(SyncRun, later) is not None else None,
        decided_by=str(held.get("decided_by", "")),
        decided_at=parse_time(held.get("decided_at")),
        applied=decided[0],
        dismissed=decided[1],
        left_out=decided[2],
        is_disabled=bool(held.get("is_disabled")),
    )


# -- who is checked ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Selection:
    """Who is checked, as the form carries it from page to page: nobody or, with ``is_all``, everybody held, but for ``others``.

    others: object ids that are the other way round.
    """

    is_all: bool = False
    others: frozenset[str] = frozenset()

    @classmethod
    def of(cls, form: MultiDict[str, str]) -> Selection:
        """What a posted form says.

        ``everybody`` is there for all; ``others`` are ids with blanks between; each row shown has its id in ``seen``, and in
        ``id`` when its box is checked. Raises Invalid for a form without any of them, which names nobody.
        """
        if "everybody" not in form:
            raise Invalid({"everybody": [NOBODY]})
        is_all = bool(form["everybody"])
        shown_ids, checked = set(form.getlist("seen")), set(form.getlist("id"))
        others = set(form.get("others", "").split()) - shown_ids
        return cls(
            is_all,
            frozenset(others | {object_id for object_id in shown_ids if (object_id in checked) != is_all}),
        )

    def has(self, object_id: str) -> bool:
        """Whether this person is checked."""
        return (object_id in self.others) != self.is_all

    def add(self, object_ids: Iterable[str]) -> Selection:
        """The same with these checked too."""
        return Selection(
            self.is_all, self.others - set(object_ids) if self.is_all else self.others | set(object_ids)
        )


EVERYBODY = Selection(is_all=True)


@dataclass(frozen=True)
class HeldPeople:
    """One page of the waiting people, and the selection among all of them.

    elsewhere: how many checked people are not on the page; others: what the form has to carry of them.
    """

    listing: Listing
    selection: Selection
    chosen: int
    elsewhere: int
    others: str


def people(run: SyncRun, q: str = "", page: int = 1, selection: Selection | None = None) -> HeldPeople:
    """The waiting people by name, 25 to a page."""
    listing = service.changes(run, _list_query(q, page, PER_PAGE))
    selection = selection or Selection()
    shown_ids = {row.object_id for row in listing.items}
    chosen = [object_id for object_id in _waiting(run) if selection.has(object_id)]
    elsewhere = sum(object_id not in shown_ids for object_id in chosen)
    return HeldPeople(
        listing, selection, len(chosen), elsewhere, " ".join(sorted(selection.others - shown_ids))
    )


def fitting(run: SyncRun, q: str) -> list[str]:
    """Object ids of the waiting people who match a search."""
    if not q:
        return _waiting(run)
    return [row.object_id for row in service.changes(run, _list_query(q, 1, 1_000_000)).items]


@dataclass(frozen=True)
class Chosen:
    """Those who are to be decided about: how many are marked and created, the first by name, and how many go on waiting.

    others: the names of the first of those who go on waiting, or are dismissed where both is decided in one go.
    """

    object_ids: Sequence[str]
    marks: int
    creations: int
    names: Sequence[str]
    left: int
    others: Sequence[str] = ()

    @property
    def number(self) -> int:
        """How many they are."""
        return len(self.object_ids)


def chosen(run: SyncRun, selection: Selection) -> Chosen:
    """The selection among the waiting people. Raises Refused if nobody waits, Invalid if nobody is checked."""
    _require_waiting(run)
    rows = db.session.execute(
        select(Change.object_id, Change.display_name, Change.decision)
        .where(Change.run_id == run.id, Change.state == "held")
        .order_by(Change.display_name, Change.id)
    ).all()
    if not rows:  # decided in this moment
        raise Refused(NOTHING)
    held = [row for row in rows if selection.has(row.object_id)]
    if not held:
        raise Invalid({"id": [NOBODY]})
    creations = sum(row.decision == Action.CREATE.value for row in held)
    return Chosen(
        object_ids=[row.object_id for row in held],
        marks=len(held) - creations,
        creations=creations,
        names=[row.display_name or row.object_id for row in held[:NAMED]],
        left=len(rows) - len(held),
        others=[row.display_name or row.object_id for row in rows if not selection.has(row.object_id)][
            :NAMED
        ],
    )


# -- deciding ----------------------------------------------------------------------------------------------------------


def apply(run: SyncRun, object_ids: Collection[str] | None = None) -> holds.Applied:
    """Apply what G1 held back, for all or the named people; the others keep waiting. The caller commits.

    Everything is decided anew before the transaction that writes begins, so nothing may be pending. Raises Refused when nothing
    is held, the sync is not enabled any more, or others keep changing these people; Invalid for somebody who is not held.
    """
    session = db.session()
    for _ in range(ATTEMPTS):
        ready = holds.prepare_held(session, run, utcnow(), object_ids)
        begin_write(session)
        service.lock_run(run)
        _require_waiting(run)
        try:
            done = holds.apply_held(session, run, ready, audit.current_actor().name, utcnow())
        except Stale:
            session.rollback()
            continue
        _record(run, "hold_applied", done.people + done.left_out)
        return done
    raise Refused(locks.CHANGED)


def dismiss(run: SyncRun, object_ids: Collection[str] | None = None) -> int:
    """Dismiss what G1 held back, for all or the named people; they are not held again until they change.

    Returns how many. Raises Refused when nothing is held, Invalid for somebody who is not held. The caller commits.
    """
    begin_write(db.session())
    service.lock_run(run)
    _require_waiting(run)
    number = holds.dismiss_held(db.session(), run, audit.current_actor().name, utcnow(), object_ids)
    _record(run, "hold_dismissed", number)
    return number


@dataclass(frozen=True)
class Both:
    """The outcome of a hold that was decided at once: applied, left_out of these, and dismissed."""

    applied: holds.Applied
    dismissed: int


def apply_and_dismiss(run: SyncRun, object_ids: Collection[str]) -> Both:
    """Apply the named people and dismiss everybody else who waits, in one transaction.

    Raises as ``apply`` does. The caller commits.
    """
    done = apply(run, object_ids)
    session = db.session()
    others = _waiting(run)
    if not others:
        return Both(done, 0)
    number = holds.dismiss_held(session, run, audit.current_actor().name, utcnow(), others)
    _record(run, "hold_dismissed", number)
    return Both(done, number)


def still_waiting(run: SyncRun) -> str:
    """What is left to decide, as a sentence."""
    held: Mapping[str, object] = run.held or {}
    if held.get("state") != "waiting":
        return "The sync continues."
    return "1 person still waits." if held["count"] == 1 else f"{held['count']:,} people still wait."


def _list_query(q: str, page: int, per_page: int) -> Listing:
    return Listing(q=q, sort="display_name", filters={"state": "held"}, page=page, per_page=per_page)


def _waiting(run: SyncRun) -> list[str]:
    return list(
        db.session.scalars(select(Change.object_id).where(Change.run_id == run.id, Change.state == "held"))
    )


def _require_waiting(run: SyncRun) -> None:
    if run.held is None or run.held.get("state") != "waiting":
        raise Refused(NOTHING)


def _record(run: SyncRun, event: str, count: int) -> None:
    audit.record(db.session(), event, run, organization=service.organization_of(run).name, count=count)
    db.session.flush()
