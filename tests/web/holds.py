"""A run that holds people back (G1), as a sync would leave it."""

from portal.clock import utcnow
from portal.engine.apply.chunks import decide_all
from portal.engine.organization_context import load_context
from portal.engine.plan import hold_key, hold_kind, plan
from portal.engine.records import SECTIONS, HoldRule
from portal.extensions import db
from portal.models import Change, SyncRun, UserSync
from tests.web import customers

PARTS = ("created", "linked", "updated", "unchanged", "disabled", "enabled", "conflicts", "held")


def _people(organization, microsoft, leavers, new):
    for number in range(leavers):
        name, mail = f"Leaver {number:02}", f"leaver{number:02}@harborview.example"
        user = customers.directory_user(microsoft, name, mail, department="Sales", enabled=False)
        person = customers.end_user(organization, name, mail, linked_to=user, department="IT", source="sync")
        person.written = {**person.written, "department": "IT"}
    for number in range(new):
        customers.directory_user(microsoft, f"New {number}", f"new{number}@harborview.example")


def _sync_of(organization, now):
    sync = db.session.query(UserSync).filter_by(organization_id=organization.id).one_or_none()
    if sync is None:
        filters = {name: {"all": True, "values": []} for name in SECTIONS}
        sync = UserSync(organization_id=organization.id, enabled=True, filters=filters, updated_at=now)
        db.session.add(sync)
    return sync


def held_run(organization, microsoft, *, leavers=0, new=0):
    """Leavers 00 … moved from IT to Sales and were disabled; New 0 … are new. Held back are they, and whoever else is new."""
    _people(organization, microsoft, leavers, new)
    now = utcnow()
    sync = _sync_of(organization, now)
    db.session.flush()
    context = load_context(db.session(), organization.id, now=now)
    found = plan(
        context.snapshot(db.session()), is_initial=False, rule=HoldRule(0, 1, 1), dismissed=frozenset()
    )
    waiting = [a for a in found.assignments if hold_kind(a)]
    number = len(waiting)
    counts = {"read": number, "in_scope": number, "out_of_scope": 0, "skipped": 0, "gone": 0}
    run = SyncRun(
        organization_id=organization.id,
        microsoft_tenant_id=microsoft.id,
        trigger="hourly",
        status="held",
        started_by="schedule",
        created_at=now,
        started_at=now,
        finished_at=now,
        held={"kind": "disable" if leavers else "create", "count": number, "state": "waiting"},
        counts={**counts, **dict.fromkeys(PARTS, 0), "held": number},
    )
    db.session.add(run)
    db.session.flush()
    sync.hold_run_id = run.id
    for assignment, decision in zip(waiting, decide_all(db.session(), waiting, context), strict=True):
        db.session.add(
            Change(
                run_id=run.id,
                organization_id=organization.id,
                end_user_id=decision.end_user_id,
                object_id=decision.object_id,
                display_name=decision.display_name,
                decision=decision.action.value,
                reason=decision.reason.value,
                fields=[change._asdict() for change in decision.changes],
                state="held",
                hold_key=hold_key(assignment),
                at=now,
            )
        )
    db.session.flush()
    return run


def adds_up(counts):
    """The equations of G8."""
    is_whole = counts["in_scope"] == sum(counts[name] for name in PARTS) and min(counts.values()) >= 0
    return is_whole and counts["read"] == counts["in_scope"] + counts["out_of_scope"] + counts["skipped"]
