"""Rows that tests of runs make: a run, a change of one, and what of Links and conflicts they look at."""

from portal.clock import utcnow
from portal.extensions import db
from portal.models import Change, Conflict, Organization, SyncRun
from tests.web import customers


def run_of(organization, microsoft, **values):
    now = utcnow()
    row = SyncRun(
        organization_id=organization.id,
        microsoft_tenant_id=microsoft.id,
        **{
            "trigger": "hourly",
            "status": "succeeded",
            "created_at": now,
            "started_at": now,
            "started_by": "schedule",
            **values,
        },
    )
    db.session.add(row)
    db.session.flush()
    return row


def change_of(run, name, decision="update", **values):
    row = Change(
        run_id=run.id,
        organization_id=run.organization_id,
        object_id=name.casefold(),
        display_name=name,
        decision=decision,
        **{"reason": "fields_differ", "at": utcnow(), **values},
    )
    db.session.add(row)
    return row


def clash(app, customer, **values):
    """The conflict of the customer as another one; gives the id of Kim, whom nobody is linked to."""
    with app.app_context():
        organization = db.session.get(Organization, customer["organization"])
        kim = customers.end_user(organization, "Kim Obi", "kim@harborview.example").id
        row = db.session.get(Conflict, customer["conflict"])
        for name, value in values.items():
            setattr(row, name, value)
        db.session.commit()
        return kim


def links(app):
    """object id → name of who is linked to it."""
    with app.app_context():
        rows = db.session.scalars(
            db.select(customers.EndUser).where(customers.EndUser.object_id.is_not(None))
        )
        return {row.object_id: row.display_name for row in rows}
