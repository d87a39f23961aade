"""Customers with mirrors, a template, and the worker by hand: nothing here runs by itself."""

import pytest

from portal.extensions import db, mark_write
from portal.filter_templates import documents
from portal.filter_templates import service as templates
from portal.models import Rollout, RolloutRow, UserSync
from portal.rollouts import worker
from portal.user_sync import documents as sync_documents
from tests.web import customers


@pytest.fixture
def owner(client_as):
    return client_as("administrator")


@pytest.fixture
def work(app):
    """Work on what waits, as the scheduler does."""
    return lambda: worker.work_off(app)


@pytest.fixture
def write(app):
    """``write(lambda: …)``: in a transaction of its own."""

    def do(change):
        with app.app_context():
            mark_write(db.session())
            found = change()
            db.session.commit()
            return found

    return do


def customer(name, *, people=3, groups=()):
    """An Organization that is mapped to a Microsoft tenant that was read; its id."""
    domain = f"{name.casefold().replace(' ', '-')}.example"
    tenant = customers.microsoft_tenant(name, domains=(domain,))
    users = [
        customers.directory_user(
            tenant, f"{name} Person {n}", f"p{n}@{domain}", department="Sales" if n else "IT"
        )
        for n in range(people)
    ]
    for group in groups:
        customers.group(tenant, group, users)
    return customers.organization(name, microsoft=tenant).id


def template(name="Members", **changes):
    """A template; its id."""
    body = documents.default_body()
    body["filters"] = {**body["filters"], **changes.pop("filters", {})}
    return templates.create(name, {**body, **changes}).id


def rows(app, rollout_id):
    """Organization or tenant name -> row of a roll-out."""
    with app.app_context():
        found = db.session.query(RolloutRow).filter_by(rollout_id=rollout_id).all()
        return {row.name: row for row in found}


def newest(app):
    """The id of the roll-out that was begun last."""
    with app.app_context():
        return db.session.query(Rollout).order_by(Rollout.created_at.desc(), Rollout.id.desc()).first().id


def saved(app, organization_id):
    """What a User Sync says; None when it is off."""
    with app.app_context():
        row = db.session.query(UserSync).filter_by(organization_id=organization_id).one_or_none()
        return None if row is None or not row.enabled else sync_documents.saved_request(row)
