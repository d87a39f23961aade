"""C2–C5 over the pages: admin consent there and back, a partner's customers, and what each ends on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from portal import create_app
from portal.api import tokens
from portal.auth import service as accounts
from portal.clock import utcnow
from portal.errors import SourceTransient
from portal.extensions import db
from portal.microsoft import check, gateway, service
from portal.models import AuditEvent, ConsentRequest, MicrosoftTenant, Role
from portal.rollouts import worker
from simulator.server import SimulatorServer
from tests.system.conftest import Api, settings_for

PASSWORD = "correct horse battery staple"
HTTPS = {"base_url": "https://127.0.0.1"}


class Browser:
    """A browser without script, signed in; htmx where a test says so."""

    def __init__(self, client: FlaskClient) -> None:
        self._client = client
        self.send("/login", "/login", email="ann@rollcall.example", password=PASSWORD)

    def get(self, path: str) -> Any:
        return self._client.get(path, **HTTPS)

    def send(self, path: str, page: str, *, htmx: str = "", **form: Any) -> Any:
        """Post a form with the token of its page."""
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.get(page).text)
        assert token is not None
        headers = {"Referer": "https://127.0.0.1/"}
        if htmx:
            headers |= {"HX-Request": "true", "HX-Target": htmx}
        return self._client.post(path, data={"csrf_token": token[1], **form}, headers=headers, **HTTPS)

    def asked(self, directory_id: str = "", cloud: str = "global") -> str:
        """Begin a consent; the address of Microsoft's page."""
        answer = self.send(
            "/microsoft-tenants/consent", "/microsoft-tenants/connect", directory_id=directory_id, cloud=cloud
        )
        assert answer.status_code == 303, answer.text
        return str(answer.headers["Location"])


@pytest.fixture
def app(simulator: SimulatorServer, tmp_path: Path) -> Iterator[Flask]:
    found = create_app(settings_for(simulator, tmp_path, base_url="https://127.0.0.1", scheduler="off"))
    with found.app_context():
        db.create_all()
        accounts.add_account(
            db.session(),
            email="ann@rollcall.example",
            role=Role.ADMINISTRATOR,
            now=utcnow(),
            password=PASSWORD,
        )
        db.session.commit()
    yield found
    with found.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app.test_client())


@pytest.fixture
def customer(simulator: SimulatorServer) -> str:
    """A tenant that never consented."""
    return simulator.world.customer_ids[0]


def decided(simulator: SimulatorServer, address: str, decision: str = "accept", tenant: str = "") -> str:
    """What Microsoft sends the browser back with, once its administrator decided."""
    form = {"decision": decision, **({"tenant": tenant} if tenant else {})}
    reply = requests.post(address, data=form, verify=simulator.ca_file, allow_redirects=False, timeout=10)
    assert reply.status_code in {302, 303}, reply.text[:300]
    back = urlsplit(reply.headers["Location"])
    return f"{back.path}?{back.query}"


def forged(address: str, **answer: str) -> str:
    """An answer made by somebody else, with the right state."""
    state = parse_qs(urlsplit(address).query)["state"][0]
    return f"/microsoft-tenants/consent/answer?{urlencode({'state': state, **answer})}"


def tenants(app: Flask) -> list[str]:
    with app.app_context():
        return [row.directory_id for row in db.session.query(MicrosoftTenant)]


def refusals(app: Flask) -> list[str]:
    with app.app_context():
        return [e.detail["reason"] for e in db.session.query(AuditEvent).filter_by(action="consent_refused")]


@pytest.mark.parametrize("is_known", [True, False])
def test_C2_accepted_consent_connects_and_shows_what_works(
    app: Flask, browser: Browser, simulator: SimulatorServer, customer: str, is_known: bool
) -> None:
    address = browser.asked(customer if is_known else "")
    answer = browser.get(decided(simulator, address, tenant="" if is_known else customer))
    assert answer.status_code == 303, answer.text
    assert tenants(app) == [customer]
    page = browser.get(answer.headers["Location"])
    assert "is connected" in page.text and "What the sync needs" in page.text and "Last sign-in" in page.text


@pytest.mark.parametrize(("decision", "told"), [("decline", "AADSTS65004"), ("cancel", "permission_denied")])
def test_C2_a_declined_consent_says_so_though_the_answer_says_consented_too(
    app: Flask, browser: Browser, simulator: SimulatorServer, customer: str, decision: str, told: str
) -> None:
    answer = browser.get(decided(simulator, browser.asked(customer), decision))
    assert answer.status_code == 422
    assert told in answer.text and "Start again" in answer.text
    assert tenants(app) == []
    assert told in refusals(app)[0]


def test_C2_an_answer_for_another_tenant_than_asked_is_refused(
    app: Flask, browser: Browser, simulator: SimulatorServer, customer: str
) -> None:
    answer = browser.get(
        forged(browser.asked(customer), admin_consent="True", tenant=simulator.tenant_ids[0])
    )
    assert answer.status_code == 422 and "another Microsoft tenant" in answer.text
    assert tenants(app) == []


def test_C2_a_typed_domain_stands_for_its_tenant_and_no_other(
    app: Flask, browser: Browser, simulator: SimulatorServer, customer: str
) -> None:
    domain = simulator.world.tenants[customer].domains[0]
    address = browser.asked(domain.upper())
    assert f"/{customer}/v2.0/adminconsent" in address
    answer = browser.get(forged(address, admin_consent="True", tenant=simulator.tenant_ids[0]))
    assert answer.status_code == 422 and "another Microsoft tenant" in answer.text
    assert tenants(app) == []
    assert browser.get(decided(simulator, browser.asked(domain))).status_code == 303
    assert tenants(app) == [customer]
    page, path = "/microsoft-tenants/connect", "/microsoft-tenants/consent"
    again = browser.send(path, page, directory_id=domain, cloud="global")
    assert again.status_code == 409 and "is connected already" in again.text
    unknown = browser.send(path, page, directory_id="nobody.example", cloud="global")
    assert unknown.status_code == 422 and "AADSTS90002" in unknown.text


def test_C2_a_forged_tenant_that_exists_nowhere_is_refused_at_once(app: Flask, browser: Browser) -> None:
    nowhere = "99999999-1111-4222-8333-444444444444"
    answer = browser.get(forged(browser.asked(), admin_consent="True", tenant=nowhere))
    assert answer.status_code == 422 and "AADSTS90002" in answer.text
    assert tenants(app) == []


@pytest.mark.parametrize("tenant", ["", "contoso.example", "../organizations", "x" * 36])
def test_C2_an_answer_without_a_tenant_is_refused(app: Flask, browser: Browser, tenant: str) -> None:
    answer = browser.get(forged(browser.asked(), admin_consent="True", tenant=tenant))
    assert answer.status_code == 422 and tenants(app) == []


def test_C2_a_state_works_once_soon_and_in_its_browser_only(
    app: Flask, browser: Browser, simulator: SimulatorServer, customer: str
) -> None:
    other = Browser(app.test_client())
    back = decided(simulator, browser.asked(customer))
    assert other.get(back).status_code == 422
    assert browser.get(back).status_code == 303
    replayed = browser.get(back)
    assert replayed.status_code == 422 and "used already" in replayed.text
    assert (
        browser.get("/microsoft-tenants/consent/answer?state=made-up&admin_consent=True").status_code == 422
    )
    late = decided(simulator, browser.asked(simulator.world.customer_ids[1]))
    with time_machine.travel(utcnow() + timedelta(minutes=16)):
        assert browser.get(late).status_code == 422
    assert tenants(app) == [customer]


def test_C2_microsoft_may_take_minutes_and_the_page_tries_again(
    app: Flask, browser: Browser, simulator: SimulatorServer, customer: str
) -> None:
    back = decided(simulator, browser.asked(customer))
    simulator.control.withdraw_consent(customer)  # as if it had not arrived everywhere yet
    answer = browser.get(back)
    assert answer.status_code == 303 and tenants(app) == []
    wait = str(answer.headers["Location"])
    page = browser.get(wait)
    assert "tries again by itself" in page.text and f'hx-post="{urlsplit(wait).path}"' in page.text
    again = browser.send(wait, wait, htmx="consent_wait")
    assert again.status_code == 200 and "<html" not in again.text
    assert "every 5s" in again.text and "AADSTS7000229" in again.text
    assert "Reconnect" not in again.text, "the page has no such button"
    assert Browser(app.test_client()).get(wait).status_code == 409, "it is this browser's"
    simulator.control.grant_consent(customer)
    done = browser.send(wait, wait, htmx="consent_wait")
    assert done.status_code == 204 and "/microsoft-tenants/" in done.headers["HX-Redirect"]
    assert tenants(app) == [customer]


def test_C2_after_five_minutes_the_page_says_what_to_do(
    app: Flask, browser: Browser, simulator: SimulatorServer, customer: str
) -> None:
    back = decided(simulator, browser.asked(customer))
    simulator.control.withdraw_consent(customer)
    wait = str(browser.get(back).headers["Location"])
    with app.app_context():
        row = db.session.query(ConsentRequest).one()
        row.used_at = utcnow() - timedelta(minutes=2)
        db.session.commit()
    assert "every 60s" in browser.send(wait, wait, htmx="consent_wait").text, "ever more rarely"
    with app.app_context():
        db.session.query(ConsentRequest).one().used_at = utcnow() - timedelta(minutes=6)
        db.session.commit()
    late = browser.send(wait, wait)
    assert late.status_code == 422 and "connect by tenant ID" in late.text
    assert "Reconnect" not in late.text and 'href="/microsoft-tenants/connect">Start again' in late.text
    assert len(refusals(app)) == 1


def test_C4_a_missing_role_is_shown_right_after_consent(
    app: Flask, browser: Browser, simulator: SimulatorServer, customer: str
) -> None:
    back = decided(simulator, browser.asked(customer))
    simulator.control.remove_role(customer, "User.Read.All")
    page = browser.get(browser.get(back).headers["Location"]).text
    assert "Not everything works yet" in page
    assert "User.Read.All is missing" in page or "permission is missing" in page.lower()


def test_C2_an_expired_secret_ends_on_a_page_that_says_so(
    app: Flask, browser: Browser, simulator: SimulatorServer, customer: str
) -> None:
    back = decided(simulator, browser.asked(customer))
    simulator.control.set_secret_expiry(-1)
    answer = browser.get(back)
    assert answer.status_code == 422 and "AADSTS7000222" in answer.text


def test_C2_a_connected_tenant_is_named_when_it_is_asked_for_again(
    app: Flask, browser: Browser, simulator: SimulatorServer
) -> None:
    home = simulator.tenant_ids[0]
    form = {"directory_id": home, "cloud": "global"}
    assert browser.send("/microsoft-tenants/connect", "/microsoft-tenants/connect", **form).status_code == 303
    again = browser.send("/microsoft-tenants/consent", "/microsoft-tenants/connect", **form)
    assert again.status_code == 409 and "connected already" in again.text


def test_C2_a_consent_asked_for_again_and_declined_starts_again_with_the_same_tenant(
    app: Flask, browser: Browser, simulator: SimulatorServer
) -> None:
    form = {"directory_id": simulator.tenant_ids[0], "cloud": "global"}
    browser.send("/microsoft-tenants/connect", "/microsoft-tenants/connect", **form)
    with app.app_context():
        path = f"/microsoft-tenants/{db.session.query(MicrosoftTenant).one().id}"
    assert ">Reconnect<" in browser.get(path).text, "what the advice says to press"
    address = browser.send(f"{path}/reconnect", path).headers["Location"]
    answer = browser.get(decided(simulator, address, "decline"))
    assert answer.status_code == 422 and "declined" in answer.text
    assert (
        f'action="{path}/reconnect"' in answer.text and 'href="/microsoft-tenants/connect"' not in answer.text
    )
    assert browser.send(f"{path}/reconnect", path).status_code == 303


@pytest.fixture
def partner(app: Flask, browser: Browser, simulator: SimulatorServer) -> str:
    """The id of our row of the partner tenant."""
    form = {"directory_id": simulator.partner_tenant_id, "cloud": "global"}
    assert browser.send("/microsoft-tenants/connect", "/microsoft-tenants/connect", **form).status_code == 303
    with app.app_context():
        return db.session.query(MicrosoftTenant).one().id


def offered(page: str) -> list[str]:
    """The directory ids of the customers that can be chosen."""
    return re.findall(r'type="checkbox" name="id"\s+value="([^"]+)"', page)


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
    assert "Nothing" not in browser.get(discover).text and "Go on with it" in browser.get(discover).text


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


def test_T6_an_answer_of_microsoft_after_some_minutes_does_not_wait_for_its_own_request(
    app: Flask, browser: Browser, simulator: SimulatorServer, customer: str
) -> None:
    """The session's "last used" is noted in a transaction of its own, which must not be begun beside a writing one."""
    back = decided(simulator, browser.asked(customer))
    with time_machine.travel(utcnow() + timedelta(minutes=6)):
        assert browser.get(back).status_code == 303
    assert tenants(app) == [customer]


@pytest.mark.parametrize("loss", ["User.Read.All", "every role"])
def test_C4_consent_taken_back_for_people_is_one_cause_on_the_dashboard_until_it_is_given_again(
    app: Flask, browser: Browser, simulator: SimulatorServer, loss: str
) -> None:
    home = simulator.tenant_ids[0]
    form = {"directory_id": home, "cloud": "global"}
    page = str(
        browser.send("/microsoft-tenants/connect", "/microsoft-tenants/connect", **form).headers["Location"]
    )
    assert "cannot be read" not in browser.get("/").text
    if loss == "every role":
        simulator.control.grant_consent(home, [])
    else:
        simulator.control.remove_role(home, loss)
    assert browser.send(f"{page}/check", page).status_code == 303
    assert "This tenant cannot be read" in browser.get(page).text
    assert len(re.findall(r'class="rc-name">[^<]*cannot be read', browser.get("/").text)) == 1
    simulator.control.grant_consent(home)
    browser.send(f"{page}/check", page)
    assert "cannot be read" not in browser.get("/").text


def test_C1_the_link_to_send_is_answered_with_thanks_and_connects_nothing(
    app: Flask, browser: Browser, simulator: SimulatorServer, customer: str
) -> None:
    settings = browser.get("/settings/microsoft").text
    link = re.search(r'class="m-0 rc-mono">(https://[^<]+/v2.0/adminconsent[^<]+)<', settings)
    assert link is not None
    address = link[1].replace("&amp;", "&")
    stranger = app.test_client()
    thanks = stranger.get(decided(simulator, address, tenant=customer), **HTTPS)
    assert thanks.status_code == 200 and "tenant ID" in thanks.text
    no = stranger.get(decided(simulator, address, "decline", tenant=customer), **HTTPS)
    assert no.status_code == 422 and "AADSTS65004" in no.text
    assert tenants(app) == [] and refusals(app) == []
    assert browser.get(decided(simulator, address, tenant=customer)).status_code == 422, (
        "no state, no connection"
    )
    form = {"directory_id": customer, "cloud": "global"}
    browser.send("/microsoft-tenants/connect", "/microsoft-tenants/connect", **form)
    assert tenants(app) == [customer]


def test_C1_an_app_registration_is_shown_to_microsoft_before_it_is_kept(
    simulator: SimulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Microsoft answers for a tenant only (graph-facts 1.2): before there is one, the page says so."""
    settings = settings_for(simulator, tmp_path, base_url="https://127.0.0.1", client_id="", client_secret="")
    app = create_app(settings)
    page, right = "/settings/microsoft", {"client_id": simulator.client_id, "secret": simulator.client_secret}
    with app.app_context():
        db.create_all()
        accounts.add_account(
            db.session(),
            email="ann@rollcall.example",
            role=Role.ADMINISTRATOR,
            now=utcnow(),
            password=PASSWORD,
        )
        db.session.commit()
    browser = Browser(app.test_client())

    def saved(**changes: str) -> str:
        assert browser.send(page, page, **{**right, **changes}).status_code == 303
        return str(browser.get(page).text)

    assert "whether it works shows when the first one is connected" in browser.get(page).text
    assert "Whether Microsoft accepts it shows with the first Microsoft tenant" in saved()
    home = {"directory_id": simulator.tenant_ids[0], "cloud": "global"}
    connect = "/microsoft-tenants/connect"
    assert browser.send(connect, connect, **home).status_code == 303
    assert "Before it is saved, Microsoft is asked" in browser.get(page).text

    wrong = browser.send(page, page, **{**right, "secret": "wrong~secret"})
    assert wrong.status_code == 422 and "AADSTS7000215" in wrong.text and "wrong~secret" not in wrong.text
    with app.app_context():
        assert service.app_registration("global").secret == simulator.client_secret, (
            "the one that works stays"
        )
    assert "Saved. Microsoft accepts it." in saved()
    assert "Saved. Microsoft" not in saved(secret="", expires_on="2027-01-31"), "nothing new: nobody is asked"
    simulator.control.set_secret_expiry(-1)
    assert "AADSTS7000222" in browser.send(page, page, **right).text
    with monkeypatch.context() as patch:
        patch.setattr(gateway, "ask_for_token", lambda *_args, **_values: unreachable())
        assert "Microsoft does not answer just now" in saved()
    other = "2b4e28ba-2fa1-4d2b-883f-0016d3cca427"
    assert "cannot be read with it" in saved(client_id=other), "its customers have yet to consent"
    with app.app_context():
        assert service.app_registration("global").client_id == other
        db.engine.dispose()


def unreachable() -> None:
    raise SourceTransient("Microsoft cannot be reached.", code="unreachable")
