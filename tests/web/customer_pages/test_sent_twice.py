"""P3, P5: a form that is sent twice as it is, by an impatient second click, makes one thing and leads to it."""

import time

import pytest
from itsdangerous import TimestampSigner, URLSafeTimedSerializer

from portal.extensions import db
from portal.models import Asset, EndUser, Organization, Tenant
from tests.web.conftest import RAW_TOKEN

NEW = [
    ("/organizations/new", Organization, {"name": "Northwind", "tenant_id": ""}),
    ("/tenants/new", Tenant, {"name": "Northwind"}),
    ("/organizations/{organization}/end-users/new", EndUser, {"display_name": "Nora North"}),
    ("/organizations/{organization}/assets/new", Asset, {"name": "NW-1"}),
]


def number(app, model):
    with app.app_context():
        return db.session.scalar(db.select(db.func.count()).select_from(model))


@pytest.mark.parametrize(("address", "model", "entered"), NEW)
def test_P3_P5_what_is_sent_twice_is_made_once(client_as, app, ids, address, model, entered):
    browser, address, before = client_as("administrator"), address.format(**ids), number(app, model)
    first, again = browser.send(address, entered), browser.send(address, entered)
    assert first.status_code == 303 and (again.status_code, again.location) == (303, first.location)
    assert number(app, model) == before + 1
    assert browser.send(address, {**entered, next(iter(entered)): "Another"}).status_code == 303
    assert number(app, model) == before + 2


def test_P5_two_people_of_one_name_are_added_with_two_forms(client_as, app, ids, monkeypatch):
    browser, before = client_as("technician"), number(app, EndUser)
    for opened in (120, 60):
        monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _, age=opened: int(time.time()) - age)
        browser.csrf = URLSafeTimedSerializer(app.secret_key, salt="wtf-csrf-token").dumps(RAW_TOKEN)
        monkeypatch.undo()
        browser.send(f"/organizations/{ids['organization']}/end-users/new", {"display_name": "Nora North"})
    assert number(app, EndUser) == before + 2
