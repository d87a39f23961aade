"""O4 and the logs: what is done leaves an event, and nobody's data in the log."""

from __future__ import annotations

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from portal.extensions import db, mark_write
from portal.models import Account, AuditEvent


def actions(app):
    with app.app_context():
        return [event.action for event in db.session.query(AuditEvent).order_by(AuditEvent.at, AuditEvent.id)]


def test_O4_the_tenant_made_and_deleted_with_an_organization_is_in_the_log_too(app, client_as):
    client = client_as()
    client.send("/organizations/new", {"name": "Contoso", "tenant_id": ""})
    assert sorted(actions(app))[:2] == ["organization_created", "signed_in"]
    with app.app_context():
        created = db.session.query(AuditEvent).filter_by(action="organization_created").one()
    client.send(f"/organizations/{created.object_id}/delete")
    assert {"tenant_created", "tenant_deleted", "organization_deleted"} <= set(actions(app))


def test_a_failing_statement_keeps_its_parameters_to_itself(app):
    with app.app_context():
        mark_write(db.session())
        person = {"email": "ann@private.example", "role": "technician", "name": None, "created_at": None}
        with pytest.raises(IntegrityError) as caught:
            db.session.execute(insert(Account).values(**person))
        db.session.rollback()
    assert "INSERT INTO accounts" in str(caught.value)
    assert "ann@private.example" not in str(caught.value)
