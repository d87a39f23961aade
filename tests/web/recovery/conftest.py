"""A customer under the wrong tenant."""

import pytest

from portal.clock import utcnow
from portal.extensions import db
from portal.models import Asset, UserSync
from tests.web import customers


@pytest.fixture
def customer(app):
    """An Organization with its sync off: two created (one edited, owning an Asset), one linked, one untouched."""
    with app.app_context():
        wrong = customers.microsoft_tenant("Wrong")
        right = customers.microsoft_tenant("Right", domains=("kestrel.example",))
        row = customers.organization("Kestrel Couriers", wrong)
        people = [
            customers.directory_user(wrong, n, f"{n.lower()}@harborview.example")
            for n in ("Ann", "Bob", "Cid")
        ]
        ann = customers.end_user(row, "Ann", people[0].email, source="sync", linked_to=people[0])
        bob = customers.end_user(
            row, "Bob", people[1].email, source="sync", linked_to=people[1], edited_at=utcnow()
        )
        cid = customers.end_user(row, "Cid", people[2].email, linked_to=people[2])
        old = customers.end_user(row, "Old", "old@kestrel.example")
        db.session.add(
            Asset(
                organization_id=row.id,
                name="KC-LT-011",
                end_user_id=bob.id,
                created_at=utcnow(),
                updated_at=utcnow(),
            )
        )
        db.session.add(UserSync(organization_id=row.id, enabled=False, filters={}, updated_at=utcnow()))
        db.session.commit()
        return {
            "id": row.id,
            "ann": ann.id,
            "bob": bob.id,
            "cid": cid.id,
            "old": old.id,
            "right": right.id,
            "wrong": wrong.id,
        }
