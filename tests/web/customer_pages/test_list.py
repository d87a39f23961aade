"""P5: the End Users table and its state in the address."""

import csv
import io
import re

import pytest
from sqlalchemy import select

from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import EndUser, MicrosoftTenant, Organization, SubscribedSku, SyncRun, UserSync
from tests.web import customers

PREMIUM = "cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46"


def test_P5_a_filter_in_use_is_a_chip_that_says_field_and_value(client_as, ids):
    page = client_as("read-only").get(
        f"/organizations/{ids['organization']}/end-users?licensed=false&mfa=true"
    )
    text = page.get_data(as_text=True)
    assert "License: No Microsoft license" in text
    assert "MFA: MFA registered" in text


def test_P5_names_wrap_and_are_not_clipped_and_products_are_short(app, client_as, ids):
    with app.app_context():
        person = db.session.get(EndUser, ids["person"])
        person.license_names, person.license_sku_ids = "An older name", [PREMIUM]
        db.session.commit()
    text = (
        client_as("read-only").get(f"/organizations/{ids['organization']}/end-users").get_data(as_text=True)
    )
    assert ">Business Premium<" in text
    assert 'title="Microsoft 365 Business Premium"' in text
    with app.app_context():
        person = db.session.get(EndUser, ids["person"])
        person.license_sku_ids = [PREMIUM, "visio", "f8a1db68-be16-40ed-86d5-cb42ce701560"]
        db.session.add(
            SubscribedSku(microsoft_tenant_id=person.microsoft_tenant_id, sku_id="visio", name="Visio, whole")
        )
        db.session.commit()
    text = (
        client_as("technician").get(f"/organizations/{ids['organization']}/end-users").get_data(as_text=True)
    )
    assert ">Business Premium +2<" in text
    assert 'title="Microsoft 365 Business Premium, Power BI Pro, Visio, whole"' in text
    row = next(
        csv.DictReader(
            io.StringIO(
                client_as("administrator").get(f"/organizations/{ids['organization']}/end-users.csv").text
            )
        )
    )
    assert row["licenses"] == "Microsoft 365 Business Premium, Power BI Pro, Visio, whole", (
        "today's names, not the stored ones (W3)"
    )
    lead = text[text.index("rc-lead") - 60 : text.index("rc-lead") + 60]
    assert "rc-nowrap" not in lead


def test_P5_the_checked_people_are_exported_in_the_order_of_the_list(app, client_as, ids):
    with app.app_context():
        organization = db.session.get(Organization, ids["organization"])
        for name in ("Bea Quist", "Cleo Park", "Dag Holt"):
            customers.end_user(organization, name, f"{name[:3].strip().lower()}@harborview.example")
        db.session.commit()
        of = {row.display_name: row.id for row in db.session.scalars(select(EndUser))}
    client = client_as("read-only")
    path = f"/organizations/{ids['organization']}/end-users"
    text = client.get(path).get_data(as_text=True)
    bar = text[text.index("rc-bulk") :]
    assert "Select all 4" in bar and "Clear selection" in bar and f'formaction="{path}.csv"' in bar
    assert "Delete…" not in bar  # a technician's
    assert "Delete…" in client_as("technician").get(path).get_data(as_text=True)

    def exported(**fields):
        found = client.send(f"{path}.csv", data=fields)
        assert found.mimetype == "text/csv"
        return [line["display_name"] for line in csv.DictReader(io.StringIO(found.data.decode("utf-8-sig")))]

    some = {"id": [of["Bea Quist"], of["Dag Holt"]]}
    assert exported(filtered="?sort=-name", **some) == ["Dag Holt", "Bea Quist"]
    assert exported(filtered="?q=cleo", all_filtered="1", **some) == ["Cleo Park"]
    assert client.send(f"{path}.csv", data={"filtered": ""}).status_code == 422


@pytest.mark.parametrize(
    ("path", "block"),
    [
        ("/organizations", "organizations_table"),
        ("/microsoft-tenants", "tenants_table"),
        ("/sync-runs", "runs_table"),
        ("/settings/audit", "audit_table"),
        ("/organizations/{organization}/end-users", "users_table"),
        ("/organizations/{organization}/assets", "assets_table"),
        ("/microsoft-tenants/{microsoft_tenant}/coverage", "coverage_table"),
        ("/sync-runs/{run}", "people"),
    ],
)
def test_P5_lists_search_after_a_pause_in_the_address_and_keep_focus_and_view(client_as, ids, path, block):
    path = path.format(**ids)
    browser = client_as("read-only")
    text = browser.get(path).get_data(as_text=True)
    form = text[text.index(f'hx-get="{path}" hx-target="#{block}"') :]
    form = form[: form.index("</form>")]
    assert "delay:300ms" in form and 'hx-push-url="true"' in form
    assert 'id="quick-search" name="q"' in form  # htmx gives focus back by the id
    answer = browser.htmx(f"{path}?q=harborview", block).get_data(as_text=True)
    assert "<html" not in answer and f'id="{block}"' in answer
    if "Export CSV" in text:
        assert 'id="export"' in text and "hx-swap-oob" not in text
        link = re.search(r'id="export" href="([^"]*)" hx-swap-oob="true"', answer)
        assert link and "q=harborview" in link[1], "the header exports what the table shows now"


def test_P1_searching_microsoft_tenants_stays_in_the_view(client_as, ids):
    text = client_as("read-only").get("/microsoft-tenants?mapped=false").get_data(as_text=True)
    assert '<input type="hidden" name="mapped" value="false">' in text


def test_P5_who_waits_for_the_first_sync_sees_people_appear(app, client_as, ids):
    address = f"/organizations/{ids['organization']}/end-users"
    with app.app_context():
        mark_write(db.session())
        db.session.delete(db.session.get(EndUser, ids["person"]))
        db.session.query(UserSync).one().initial_done_at = None
        db.session.query(SyncRun).one().status = "running"
        db.session.commit()
    text = client_as("read-only").get(address).get_data(as_text=True)
    assert "The first sync is under way." in text and f'hx-get="{address}" hx-trigger="every 3s"' in text
    with app.app_context():
        mark_write(db.session())
        db.session.query(SyncRun).one().status = "succeeded"
        db.session.query(UserSync).one().initial_done_at = utcnow()
        db.session.commit()
    assert "every 3s" not in client_as("technician").get(address).get_data(as_text=True)


def test_P6_P13_somebody_missing_is_found_in_microsoft_with_the_reason(app, client_as, ids):
    with app.app_context():
        microsoft = db.session.get(EndUser, ids["person"]).microsoft_tenant_id
        tenant = db.session.get(customers.MicrosoftTenant, microsoft)
        missing = customers.directory_user(tenant, "Mia Missing", "mia@harborview.example").object_id
        if db.session.scalar(select(UserSync).where(UserSync.organization_id == ids["organization"])) is None:
            db.session.add(
                UserSync(organization_id=ids["organization"], enabled=True, filters={}, updated_at=utcnow())
            )
        db.session.commit()
    client = client_as("read-only")
    here = f"/organizations/{ids['organization']}/end-users"
    way = f"/microsoft-tenants/{microsoft}/coverage?not_in={ids['organization']}&amp;q=Mia"
    assert f'href="{way}"' in client.get(f"{here}?q=Mia").get_data(as_text=True)
    text = client.get(way.replace("&amp;", "&")).get_data(as_text=True)
    assert f'href="{here}/why?user={missing}' in text and "Why not" in text
    text = client.get(f"{here}/why?user={missing}&name=Mia+Missing").get_data(as_text=True)
    assert "Why is Mia Missing not here?" in text and "The next run:" in text
    assert "Not read, because All is checked" in text and "(none)" not in text.partition("Group")[2]
    assert "no user with the UPN" in client.get(f"{here}/why?user=nobody").get_data(as_text=True)


def test_P5_hiding_who_is_disabled_in_microsoft_hides_nobody_else(app, client_as, ids):
    """Who was entered by hand was never enabled in Microsoft, and is no less a person for that."""
    with app.app_context():
        mark_write(db.session())
        organization = db.session.get_one(Organization, ids["organization"])
        customers.end_user(organization, "Entered By Hand")
        microsoft_tenant_id = organization.tenant.microsoft_tenant_id
        home = db.session.get_one(MicrosoftTenant, microsoft_tenant_id)
        gone = customers.directory_user(home, "Left Last Week", "left@harborview.example")
        customers.end_user(
            organization, "Left Last Week", gone.email, linked_to=gone
        ).microsoft_status = "disabled"
        db.session.commit()
    browser = client_as("read-only")
    page = browser.get(f"/organizations/{ids['organization']}/end-users").text
    address = re.search(r'href="([^"]*)">Hide Disabled in Microsoft', page)[1].replace("&amp;", "&")
    shown = browser.get(f"/organizations/{ids['organization']}/end-users{address}").text
    assert "Entered By Hand" in shown and "Ada Lovelace" in shown and "Left Last Week" not in shown
    assert "Status: Without: Disabled in Microsoft" in shown
