"""C2, C4: consent is given, declined, forged, late, repeated and taken back."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import time_machine
from flask import Flask

from portal.clock import utcnow
from portal.extensions import db
from portal.models import ConsentRequest, MicrosoftTenant
from simulator.server import SimulatorServer
from tests.system.connecting.consents import HTTPS, Browser, decided, forged, refusals, tenants


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
    assert again.status_code == 409 and "is already connected" in again.text
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
    assert again.status_code == 409 and "already connected" in again.text


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
