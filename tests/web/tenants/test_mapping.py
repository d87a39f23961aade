"""R2: what is in the way of unmapping, remapping and deleting is named, with a way to it."""

import re

import pytest

from portal.clock import utcnow
from portal.extensions import db
from portal.models import AuditEvent, Organization, SyncRun, Tenant, UserSync
from tests.web import customers


@pytest.fixture
def shared(app):
    """Two syncing Organizations under one mapped Tenant, and a third that is off."""
    with app.app_context():
        mapped = customers.microsoft_tenant("Reef")
        first = customers.organization("Reef Research", mapped)
        tenant = db.session.get(Tenant, first.tenant_id)
        for name in ("Reef Divers", "Reef Boats"):
            db.session.add(
                Organization(name=name, name_key=name.casefold(), tenant_id=tenant.id, created_at=utcnow())
            )
        db.session.flush()
        for row in db.session.query(Organization):
            enabled = row.name != "Reef Boats"
            db.session.add(UserSync(organization_id=row.id, enabled=enabled, filters={}, updated_at=utcnow()))
        db.session.commit()
        return tenant.id


def disable(app, name):
    with app.app_context():
        organization = db.session.query(Organization).filter_by(name=name).one()
        db.session.query(UserSync).filter_by(organization_id=organization.id).one().enabled = False
        db.session.commit()
        return organization.id


@pytest.mark.parametrize("step", ["unmap", "delete"])
def test_R2_every_sync_in_the_way_is_named_with_the_way_to_it(app, client_as, shared, step):
    client = client_as("administrator")
    answer = client.send(f"/tenants/{shared}/{step}")
    assert answer.status_code == 409
    assert "Reef Divers, Reef Research still sync" in answer.text and "Reef Boats" not in answer.text
    assert f'href="/tenants/{shared}"' in answer.text
    disable(app, "Reef Divers")
    left = disable(app, "Reef Research")
    with app.app_context():
        db.session.query(UserSync).filter_by(organization_id=left).one().enabled = True
        db.session.commit()
    answer = client.send(f"/tenants/{shared}/{step}")
    assert "Reef Research still syncs" in answer.text
    assert f'href="/organizations/{left}/user-sync/disable"' in answer.text


@pytest.mark.parametrize("step", ["unmap", "map"])
def test_R2_the_page_lists_every_sync_with_a_link_to_disable_it(app, client_as, shared, step):
    text = client_as("technician").get(f"/tenants/{shared}/{step}").get_data(as_text=True)
    assert text.count("/user-sync/disable") == 2
    assert "Reef Divers" in text and "Reef Research" in text and "Reef Boats" not in text


def test_P12_each_organization_that_was_synced_has_its_own_way_to_recovery(app, client_as, shared):
    with app.app_context():
        rows = db.session.query(Organization).where(Organization.name != "Reef Boats").all()
        microsoft_id = db.session.get(Tenant, shared).microsoft_tenant_id
        wanted = {row.id for row in rows}
        for each in wanted:
            run = {"trigger": "initial", "status": "succeeded", "created_at": utcnow()}
            db.session.add(SyncRun(organization_id=each, microsoft_tenant_id=microsoft_id, **run))
        db.session.commit()
    page = client_as("technician").get(f"/tenants/{shared}").get_data(as_text=True)
    assert set(re.findall(r'href="/organizations/([^/"]+)/recovery"', page)) == wanted


def test_P2_a_first_run_that_was_cancelled_is_not_shown_deciding(app, client_as, shared):
    with app.app_context():
        first = db.session.query(UserSync).filter_by(enabled=True).first().organization_id
        run = {"trigger": "initial", "status": "cancelled", "phase": "Deciding", "created_at": utcnow()}
        db.session.add(SyncRun(organization_id=first, **run))
        db.session.commit()
    page = client_as("read-only").get(f"/tenants/{shared}").text
    assert "The last run: cancelled" in page and "Deciding" not in page


def test_P2_what_a_sync_changes_is_renewed_beside_the_table_too(app, client_as, shared):
    with app.app_context():
        first = db.session.query(Organization).filter_by(name="Reef Research").one()
        customers.end_user(first, "Ada", "ada@reef.example")
        db.session.commit()
    client = client_as("read-only")
    page = client.get(f"/tenants/{shared}").get_data(as_text=True)
    text = client.htmx(f"/tenants/{shared}", "organizations_table").get_data(as_text=True)
    assert text.strip().startswith('<section class="card" id="organizations_table"') and "<html" not in text
    assert '<p id="page-facts" hx-swap-oob="innerHTML">Tenant · 3 Organizations · 1 End User</p>' in text
    for name in ("connection", "last-sync", "users", "coverage"):
        assert f'<span id="{name}" hx-swap-oob="innerHTML">' in text
        assert f'id="{name}"' in page


@pytest.mark.parametrize("named", ["Kestrel Couriers", "Another Name"])
def test_C6_U10_no_choice_begins_with_whoever_comes_first(app, client_as, named):
    """Only the one of the same name is taken for the likely one; a wrong tenant is never one careless click away."""
    with app.app_context():
        customers.microsoft_tenant("Acacia")
        there = customers.microsoft_tenant(named)
        customers.organization("Abacus Accounts")
        here = customers.organization("Kestrel Couriers")
        db.session.commit()
        tenant_id = here.tenant_id
        pages = (
            (f"/microsoft-tenants/{there.id}/map", here.tenant_id),
            (f"/tenants/{here.tenant_id}/map", there.id),
        )
    browser = client_as("technician")
    for page, other in pages:
        select = browser.get(page).text.partition("<select")[2].partition("</select>")[0]
        assert (
            re.search(r'<option (selected )?value="">Choose', select)
            and " required" in select.partition(">")[0]
        )
        likely = re.findall(r'<option selected value="([^"]*)"|<option value="([^"]*)" selected', select)
        assert [one or two for one, two in likely if one or two] == (
            [other] if named == "Kestrel Couriers" else []
        )
    assert browser.send(f"/tenants/{tenant_id}/map", {"microsoft_tenant_id": ""}).status_code == 422


@pytest.fixture
def two(app):
    """Two mapped Tenants and one that is not: ids of the Tenants by name, and of their Microsoft tenants."""
    with app.app_context():
        reef, kelp = customers.microsoft_tenant("Reef"), customers.microsoft_tenant("Kelp")
        rows = {"reef": customers.organization("Reef", reef), "kelp": customers.organization("Kelp", kelp)}
        rows["loose"] = customers.organization("Loose")
        db.session.commit()
        return {name: row.tenant_id for name, row in rows.items()} | {"REEF": reef.id, "KELP": kelp.id}


def mapped(app, two):
    with app.app_context():
        return {
            name: db.session.get(Tenant, two[name]).microsoft_tenant_id for name in ("reef", "kelp", "loose")
        }


def told(app):
    with app.app_context():
        events = (
            db.session.query(AuditEvent)
            .filter(AuditEvent.action.startswith("tenant_"))
            .order_by(AuditEvent.number)
        )
        return [(e.action, e.detail["name"], e.detail["microsoft_tenant"]) for e in events]


def test_C6_remapping_to_one_that_is_mapped_elsewhere_offers_to_unmap_or_swap_and_says_what_that_does(
    app, client_as, two
):
    client, page = client_as("technician"), f"/tenants/{two['reef']}/map"
    assert "Kelp (harborview.example), mapped to Kelp" in client.get(page).text
    asked = client.send(page, {"microsoft_tenant_id": two["KELP"]})
    text = " ".join(re.sub(r"<[^>]+>", "", asked.text).split())
    assert asked.status_code == 200 and "Kelp then has no Microsoft tenant." in text
    assert "Kelp gets Reef, which Reef has now." in text and "keep their details and Links" in text
    assert mapped(app, two) == {"reef": two["REEF"], "kelp": two["KELP"], "loose": None}, (
        "asking changes nothing"
    )
    answer = client.send(page, {"microsoft_tenant_id": two["KELP"], "holder_id": two["kelp"], "how": "swap"})
    assert answer.status_code == 303
    assert mapped(app, two) == {"reef": two["KELP"], "kelp": two["REEF"], "loose": None}
    assert told(app) == [
        ("tenant_unmapped", "Kelp", "Kelp"),
        ("tenant_mapped", "Reef", "Kelp"),
        ("tenant_mapped", "Kelp", "Reef"),
    ]


def test_C6_unmapping_there_and_mapping_here_is_one_step(app, client_as, two):
    client, page = client_as("technician"), f"/tenants/{two['loose']}/map"
    asked = client.send(page, {"microsoft_tenant_id": two["KELP"]}).text
    assert 'value="unmap"' in asked and 'value="swap"' not in asked
    form = {"microsoft_tenant_id": two["KELP"], "holder_id": two["kelp"]}
    assert client.send(page, {**form, "how": "swap"}).status_code == 409
    assert client.send(page, {**form, "how": "burn"}).status_code == 422
    assert client.send(page, {**form, "holder_id": two["reef"], "how": "unmap"}).status_code == 409
    assert mapped(app, two)["loose"] is None
    assert client.send(page, {**form, "how": "unmap"}).status_code == 303
    assert mapped(app, two) == {"reef": two["REEF"], "kelp": None, "loose": two["KELP"]}
    assert client.send(page, {**form, "how": "unmap"}).status_code == 303, "pressed twice"
    other = f"/tenants/{two['reef']}/map"
    assert client.send(other, {**form, "how": "unmap"}).status_code == 409, "somebody else was first"


def test_R2_a_sync_under_the_other_tenant_is_in_the_way_of_taking_its_microsoft_tenant(app, client_as, two):
    with app.app_context():
        row = db.session.query(Organization).filter_by(name="Kelp").one()
        db.session.add(UserSync(organization_id=row.id, enabled=True, filters={}, updated_at=utcnow()))
        db.session.commit()
        way = f"/organizations/{row.id}/user-sync/disable"
    client, page = client_as("technician"), f"/tenants/{two['loose']}/map"
    asked = client.send(page, {"microsoft_tenant_id": two["KELP"]}).text
    assert way in asked and 'name="how"' not in asked
    form = {"microsoft_tenant_id": two["KELP"], "holder_id": two["kelp"], "how": "unmap"}
    assert client.send(page, form).status_code == 409
    assert mapped(app, two)["loose"] is None


def test_F6_map_tenant_makes_the_organization(app, client_as, two):
    with app.app_context():
        new = customers.microsoft_tenant("Harbor & Sons").id
        db.session.commit()
    owner, technician, page = (
        client_as("administrator"),
        client_as("technician"),
        f"/microsoft-tenants/{new}/map",
    )
    shown = owner.get(page).text
    assert (
        re.search(r'<option selected value="new">New Organization', shown)
        and 'value="Harbor &amp; Sons"' in shown
    )
    assert 'value="new"' not in technician.get(page).text
    assert technician.send(page, {"tenant_id": "new", "name": "Harbor"}).status_code == 403
    refused = owner.send(page, {"tenant_id": "new", "name": "Reef"})
    assert refused.status_code == 422 and "already an Organization called Reef" in refused.text
    form = {"tenant_id": "new", "name": "Harbor"}
    first, again = owner.send(page, form), owner.send(page, form)
    assert first.status_code == again.status_code == 303 and first.location == again.location
    with app.app_context():
        row = db.session.query(Organization).filter_by(name="Harbor").one()
        assert row.tenant.microsoft_tenant_id == new and first.location == f"/tenants/{row.tenant_id}"
