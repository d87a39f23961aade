"""C3, C5: the customers of a partner are connected, and the ends of relationships are known."""

from __future__ import annotations

from flask import Flask

from portal.api import tokens
from portal.extensions import db
from portal.microsoft import check
from portal.models import MicrosoftTenant
from portal.rollouts import worker
from simulator.server import SimulatorServer
from tests.system.conftest import Api
from tests.system.connecting.consents import Browser, offered, tenants


def test_C3_C5_customers_are_connected_each_with_its_outcome_and_the_end_of_its_relationship(
    app: Flask, browser: Browser, simulator: SimulatorServer, partner: str
) -> None:
    simulator.control.grant_consent(simulator.world.customer_ids[0])
    consented, not_consented, *_, ended, _ending = simulator.world.customer_ids
    discover = f"/microsoft-tenants/discover?partner={partner}"
    page = browser.get(discover).text
    assert {consented, not_consented} <= set(offered(page)) and "<span>Select all</span>" in page
    assert ended not in offered(page) and "Renew the relationship with the customer first." in page
    assert page.count("Expires soon") == 1 and 'Ended <span class="rc-tab">1</span>' in page
    simulator.control.remove_role(simulator.partner_tenant_id, "DelegatedAdminRelationship.Read.All")
    simulator.control.remove_role(simulator.partner_tenant_id, "Directory.Read.All")
    narrowed = browser.get(f"{discover}&q={ended}").text
    assert offered(narrowed) == [] and ended in narrowed, "searching asks Microsoft nothing"
    begun = browser.send(
        "/microsoft-tenants/discover", discover, id=[consented, not_consented, ended], partner=partner
    )
    assert begun.status_code == 303
    worker.work_off(app)
    page = browser.get(begun.location).text
    assert (
        "AADSTS700016" in page
        and "Press Ask for consent and let" in page
        and page.count(">Ask for consent<") == 1
    )
    assert "Create or match Organizations" in page and ended not in page
    with app.app_context():
        row = db.session.query(MicrosoftTenant).filter_by(directory_id=consented).one()
        assert row.relationship_ends_at is not None
    simulator.control.grant_consent(not_consented)
    browser.send(f"{begun.location}/retry", begun.location)
    worker.work_off(app)
    assert sorted(tenants(app)) == sorted([simulator.partner_tenant_id, consented, not_consented])
    assert "Nothing" not in browser.get(discover).text and ">Continue<" in browser.get(discover).text


def test_C3_O2_a_partners_customers_by_api(app: Flask, simulator: SimulatorServer, partner: str) -> None:
    with app.app_context():
        token = tokens.create("partner", "administrator")
        db.session.commit()
    api, path = Api(app.test_client(), token), f"/microsoft-tenants/{partner}/customers"
    assert api.get(path)["total"] == 0, "Microsoft has not been asked"
    counted = api.post(f"{path}/check", status=200)
    assert counted["all"] == api.get(path)["total"] >= len(simulator.world.customer_ids)
    assert (counted["ended"], counted["ending"], counted["connected"]) == (1, 1, 0)
    chosen = api.get(f"{path}?state=offered&sort=name")["items"][0]
    simulator.control.grant_consent(chosen["directory_id"])
    row = api.post("/microsoft-tenants", {"directory_id": chosen["directory_id"]})
    [found] = api.get(f"{path}?state=connected")["items"]
    assert (found["directory_id"], found["microsoft_tenant_id"]) == (chosen["directory_id"], row["id"])
    assert "ended" in {one["state"] for one in api.get(path)["items"]}
    refused = api.post(f"/microsoft-tenants/{row['id']}/customers/check", status=502)
    assert refused["detail"], "it is no partner"


def test_C5_the_partners_check_reads_the_ends_anew_and_the_dashboard_warns(
    app: Flask, browser: Browser, simulator: SimulatorServer, partner: str
) -> None:
    last = list(simulator.world.customer_ids)[-1]
    simulator.control.grant_consent(last)
    form = {"directory_id": last, "cloud": "global"}
    browser.send("/microsoft-tenants/connect", "/microsoft-tenants/connect", **form)
    with app.app_context():
        assert (
            db.session.query(MicrosoftTenant).filter_by(directory_id=last).one().relationship_ends_at is None
        )
        db.session.rollback()
        check.check_releasing(db.session.get_one(MicrosoftTenant, partner))
        db.session.commit()
    text = browser.get("/").text
    assert "The partner relationship with" in text and "expires in" in text


def test_C3_contracts_stand_in_where_relationships_may_not_be_read(
    app: Flask, browser: Browser, simulator: SimulatorServer, partner: str
) -> None:
    simulator.control.remove_role(simulator.partner_tenant_id, "DelegatedAdminRelationship.Read.All")
    found = offered(browser.get(f"/microsoft-tenants/discover?partner={partner}").text)
    assert set(simulator.world.customer_ids) <= set(found), (
        "without relationships nothing is known to have ended"
    )


def test_C3_a_tenant_that_is_no_partner_is_said_beside_the_choice_as_is_choosing_nobody(
    app: Flask, browser: Browser, simulator: SimulatorServer, partner: str
) -> None:
    discover = f"/microsoft-tenants/discover?partner={partner}"
    nobody = browser.send("/microsoft-tenants/discover", discover, partner=partner)
    assert (
        nobody.status_code == 422 and "Choose at least one customer." in nobody.text and offered(nobody.text)
    )
    for role in ("DelegatedAdminRelationship.Read.All", "Directory.Read.All"):
        simulator.control.remove_role(simulator.partner_tenant_id, role)
    answer = browser.get(f"{discover}&look=1")
    assert answer.status_code == 502 and "An application permission is missing." in answer.text
    assert 'name="partner"' in answer.text and f'href="/microsoft-tenants/{partner}"' in answer.text
