"""A customer with a held run and a conflict, and the other side of that conflict."""

from datetime import timedelta

import pytest

from portal.clock import utcnow
from portal.engine.records import SECTIONS
from portal.extensions import db
from portal.models import Conflict, MicrosoftTenant, SubscribedSku, UserSync
from tests.web import customers, holds
from tests.web.runs.rows import change_of, run_of


def _changes(run, person):
    change_of(
        run,
        "Ada Obi",
        end_user_id=person.id,
        fields=[{"field": "job_title", "old": "<b>Clerk</b>", "new": "Lead"}],
    )
    change_of(run, "Scanner", "skip", reason="no_email")
    change_of(run, "Twin", "conflict", reason="duplicate_remote_email")
    change_of(
        run,
        "Held One",
        "mark_disabled",
        reason="account_disabled",
        state="held",
        hold_key="1",
    )
    change_of(
        run,
        "=Held(Two)",
        "mark_disabled",
        reason="account_disabled",
        state="held",
        hold_key="2",
    )


def _wait(organization, run):
    """The sync of the Organization is enabled and waits for a decision about the run."""
    db.session.add(
        UserSync(
            organization_id=organization.id,
            enabled=True,
            filters={name: {"all": True, "values": []} for name in SECTIONS},
            updated_at=utcnow(),
            hold_run_id=run.id,
        )
    )


@pytest.fixture
def customer(app):
    """A held run of an enabled sync with one update, one skip, one conflict, and a hold of two."""
    with app.app_context():
        microsoft = customers.microsoft_tenant()
        row = customers.organization("Harborview Imaging", microsoft)
        ada = customers.directory_user(microsoft, "Ada Obi", "ada@harborview.example")
        person = customers.end_user(row, "Ada Obi", "ada@harborview.example", linked_to=ada)
        run = run_of(
            row,
            microsoft,
            status="held",
            finished_at=utcnow() + timedelta(seconds=47),
            held={"kind": "disable", "count": 2, "state": "waiting"},
            counts={
                "read": 10,
                "in_scope": 4,
                "out_of_scope": 5,
                "skipped": 1,
                "created": 0,
                "linked": 0,
                "updated": 1,
                "unchanged": 0,
                "disabled": 0,
                "enabled": 0,
                "conflicts": 1,
                "held": 2,
                "gone": 0,
            },
        )
        _changes(run, person)
        _wait(row, run)
        conflict = Conflict(
            organization_id=row.id,
            key="k",
            kind="duplicate_remote_email",
            reason="Two have it.",
            object_id="twin",
            display_name="Twin",
            email="ada@harborview.example",
            run_id=run.id,
            created_at=utcnow(),
        )
        db.session.add(conflict)
        db.session.commit()
        return {"organization": row.id, "run": run.id, "conflict": conflict.id, "person": person.id}


@pytest.fixture
def twin(app, customer):
    """The conflict's Microsoft user in the mirror, and a conflict of the other side's own about the same address."""
    with app.app_context():
        microsoft = db.session.scalar(db.select(MicrosoftTenant))
        user = customers.directory_user(microsoft, "Twin", "ada@harborview.example", enabled=False)
        user.license_sku_ids, user.created_at = ["visio"], utcnow() - timedelta(days=700)
        db.session.add(SubscribedSku(microsoft_tenant_id=microsoft.id, sku_id="visio", name="Visio, whole"))
        ada = db.session.get(customers.EndUser, customer["person"])
        row = db.session.get(Conflict, customer["conflict"])
        row.object_id, row.other_object_id = user.object_id, ada.object_id
        other = Conflict(
            organization_id=row.organization_id,
            key="other",
            kind="email_linked_to_other",
            reason="Ada's own.",
            object_id=ada.object_id,
            created_at=utcnow(),
        )
        db.session.add(other)
        db.session.commit()
        return {"object": user.object_id, "ada": ada.object_id, "other": other.id}


@pytest.fixture
def hold(app):
    """A run that holds 30 leavers, who moved to another department, and three new people: its id."""
    with app.app_context():
        microsoft = customers.microsoft_tenant()
        run = holds.held_run(
            customers.organization("Harborview Imaging", microsoft), microsoft, leavers=30, new=3
        )
        db.session.commit()
        return run.id
