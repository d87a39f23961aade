"""P3, W5, R2: forms that were opened before somebody else changed what they show."""

import re

import pytest

from portal.assets import routes as assets
from portal.clock import utcnow
from portal.extensions import db
from portal.models import Asset, Organization, Tenant
from tests.web import customers


def of_form(page):
    """What a browser posts from the page's form, untouched."""
    form = re.search(r'<form[^>]*method="post"[^>]*>((?:(?!</form>).)*name="was_.*?)</form>', page, re.S)[1]
    posted = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', form))
    posted |= {
        name: value for value, name in re.findall(r'<input[^>]* value="([^"]*)"[^>]* name="(\w+)"', form)
    }
    for name, options in re.findall(r'<select[^>]* name="(\w+)".*?>(.*?)</select>', form, re.S):
        chosen = re.search(r'<option selected[^>]* value="([^"]*)"', options)
        posted[name] = chosen[1] if chosen else ""
    return {key: value for key, value in posted.items() if key != "csrf_token"}


def test_P3_renaming_does_not_move_back_what_was_moved_meanwhile(client_as, app):
    with app.app_context():
        row = customers.organization("Kestrel Couriers")
        other = Tenant(name="Other", created_at=utcnow())
        db.session.add(other)
        db.session.commit()
        here, there = row.id, other.id
    browser, address = client_as("technician"), f"/organizations/{here}/edit"
    form = of_form(browser.get(address).text)
    assert browser.send(address, {**form, "tenant_id": there}).status_code == 303
    assert browser.send(address, {**form, "name": "Kestrel"}).status_code == 303
    with app.app_context():
        row = db.session.get_one(Organization, here)
        assert (row.name, row.tenant_id) == ("Kestrel", there)


def test_W5_renaming_an_asset_leaves_it_to_whom_the_sync_gave_it(client_as, app, ids, monkeypatch):
    monkeypatch.setattr(assets, "MOST_PEOPLE", 1)  # and to who is beyond those that are offered
    with app.app_context():
        here = db.session.get_one(Organization, ids["organization"])
        asset = db.session.scalar(db.select(Asset)).id
        first, second = customers.end_user(here, "Aaron").id, customers.end_user(here, "Zoe").id
        db.session.commit()
    browser, address = client_as("technician"), f"/assets/{asset}"
    opened = of_form(browser.get(address).text)
    assert opened["end_user_id"] == opened["was_end_user_id"] == ids["person"] != first
    with app.app_context():
        db.session.get_one(Asset, asset).end_user_id = second
        db.session.commit()
    assert browser.send(address, {**opened, "name": "HVD-LT-9"}).status_code == 303
    with app.app_context():
        row = db.session.get_one(Asset, asset)
        assert (row.name, row.end_user_id, row.assigned_by) == ("HVD-LT-9", second, "sync")
        assert len(row.macs) == 1


@pytest.mark.parametrize("page", ["/tenants/{tenant}/unmap", "/organizations/{organization}/recovery/unmap"])
def test_R2_unmap_takes_away_no_other_mapping_than_it_named(client_as, app, page):
    with app.app_context():
        row = customers.organization("Kestrel Couriers", customers.microsoft_tenant("Wrong"))
        right = customers.microsoft_tenant("Right", domains=("kestrel.example",)).id
        tenant, address = row.tenant_id, page.format(tenant=row.tenant_id, organization=row.id)
        db.session.commit()
    browser = client_as("technician")
    text = browser.get(address.replace("recovery/unmap", "recovery")).text
    named = re.search(r'name="microsoft_tenant_id" value="([^"]+)"', text)[1]
    with app.app_context():
        db.session.get_one(Tenant, tenant).microsoft_tenant_id = right
        db.session.commit()
    answer = browser.send(address, {"microsoft_tenant_id": named})
    assert answer.status_code == 409 and "Nothing was unmapped" in answer.text
    assert browser.send(address, {"microsoft_tenant_id": right}).status_code == 303
