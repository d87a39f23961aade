"""Notifications (O2): the targets of alerts, which events go to which, a test, and adding one of the usual kinds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flask import Blueprint, request, url_for
from werkzeug.wrappers import Response

from portal import audit
from portal.alerts import delivery, events, presets, targets
from portal.alerts.forms import FORMS, EventsForm, TargetForm
from portal.clock import utcnow
from portal.errors import Invalid, NotFound
from portal.extensions import db
from portal.http import responses
from portal.http.access import reads_first, requires
from portal.http.forms import ShowingInvalid
from portal.models import Role
from portal.runtime import runtime
from portal.transactions import begin_write

bp = Blueprint("alerts", __name__, url_prefix="/settings/notifications")
GONE = "There is no such target. It may have been removed."


@dataclass(frozen=True)
class TargetRow:
    """A target in the table."""

    id: str
    number: int
    name: str
    place: str
    events: str


@dataclass(frozen=True)
class Tested:
    """The outcome of a test. delivered: how many targets of ``total`` got it; failed: (number, name, problem) of the others."""

    delivered: int
    total: int
    failed: tuple[tuple[int, str, str], ...]


@bp.get("")
@requires(Role.ADMINISTRATOR)
def index() -> Response:
    """The targets of alerts, and the events each receives."""
    return _page()


@bp.post("")
@requires(Role.ADMINISTRATOR)
@reads_first
def change() -> Response:
    """Remove a target, or send a test to all."""
    match request.form.get("do"):
        case "test":
            return _send_test()
        case "remove":
            return _remove(request.form.get("target", ""))
        case _:
            raise Invalid({"do": ["Must be one of: remove, test."]})


@bp.route("/add/<preset>", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
@reads_first
def add(preset: str) -> Response:
    """Add a target of one of the usual kinds, with its events."""
    if preset not in FORMS:
        raise NotFound("There is no such kind of target.")
    form = FORMS[preset]()
    if form.submitted():
        try:
            return _add(form)
        except Invalid as error:
            db.session.rollback()
            _show(form, error)
    return responses.render(
        "alerts/add.html",
        blocks={"dialog": "dialog"},
        section="notifications",
        form=form,
        preset=preset,
        label=presets.LABELS[preset],
        fields=[entry for entry in form if entry.name not in {"csrf_token", "events", "is_local"}],
        checked=form.chosen(),
        events=events.EVENTS,
    )


@bp.route("/<target_id>/events", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
@reads_first
def choose_events(target_id: str) -> Response:
    """Choose which events a target receives."""
    target = delivery.stored_targets(db.session(), runtime().box).get(target_id)
    if target is None:
        raise NotFound(GONE)
    form = EventsForm(data={"events": list(target.events)})
    if form.submitted():
        with ShowingInvalid(form):
            return _save_events(target_id, form)
    return responses.render(
        "alerts/events.html",
        blocks={"dialog": "dialog"},
        section="notifications",
        form=form,
        target_id=target_id,
        name=target.name,
        checked=form.chosen(),
        events=events.EVENTS,
    )


def _add(form: TargetForm) -> Response:
    target = replace(form.target(), events=_checked(form))
    db.session.rollback()  # nothing is held while a name is looked up
    targets.check_place(target)
    session = begin_write(db.session())
    delivery.add_target(session, runtime().box, target, now=utcnow(), by=audit.current_actor().name)
    place = ", inside our network" if target.is_local else ""
    audit.record(session, "notifications_changed", changes=f"added: {target.name}{place}")
    db.session.commit()
    return responses.respond(redirect=url_for(".index"), toast="Added. Send a test to check that it arrives.")


def _checked(form: EventsForm) -> tuple[str, ...]:
    chosen = events.known_events(form.chosen())
    if not chosen:
        raise Invalid({"events": ["Choose at least one event."]})
    return chosen


def _show(form: TargetForm, error: Invalid) -> None:
    """Show a problem of the address at the field it was entered in."""
    at = "url" if "url" in form else "server"
    form.show(
        Invalid({at if name == "address" else name: messages for name, messages in error.errors.items()})
    )


def _save_events(target_id: str, form: EventsForm) -> Response:
    session = begin_write(db.session())
    by = audit.current_actor().name
    changed = delivery.choose_events(session, runtime().box, target_id, form.chosen(), now=utcnow(), by=by)
    if changed is None:
        raise NotFound(GONE)
    detail = f"events of {changed.name}: {events.words(changed.events)}"
    audit.record(session, "notifications_changed", changes=detail)
    db.session.commit()
    return responses.respond(redirect=url_for(".index"), toast="Saved.")


def _remove(target_id: str) -> Response:
    session = begin_write(db.session())
    gone = delivery.remove_target(
        session, runtime().box, target_id, now=utcnow(), by=audit.current_actor().name
    )
    if gone is not None:
        audit.record(session, "notifications_changed", changes=f"removed: {gone}")
        db.session.commit()
    return responses.respond(redirect=url_for(".index"), toast="Removed.")


def _send_test() -> Response:
    stored = list(delivery.stored_targets(db.session(), runtime().box).values())
    db.session.rollback()  # nothing is held while it is delivered
    notice = delivery.Notice(
        "test", "Rollcall: a test", "Alerts about syncs that need attention arrive here."
    )
    deliveries = delivery.deliver(stored, notice)
    failed = tuple(
        (place, attempt.target, attempt.problem)
        for place, attempt in enumerate(deliveries, 1)
        if attempt.problem
    )
    return _page(Tested(len(deliveries) - len(failed), len(deliveries), failed))


def _page(tested: Tested | None = None) -> Response:
    stored = delivery.stored_targets(db.session(), runtime().box)
    rows = [
        TargetRow(
            target_id,
            place,
            target.name,
            "Inside our network" if target.is_local else "Internet only",
            events.words(target.events),
        )
        for place, (target_id, target) in enumerate(stored.items(), 1)
    ]
    return responses.render(
        "alerts/index.html",
        section="notifications",
        rows=rows,
        tested=tested,
        presets=[(name, label, presets.ICONS[name]) for name, label in presets.LABELS.items()],
        is_full=len(rows) >= delivery.MOST,
    )
