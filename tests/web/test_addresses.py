"""Who asks and at which address: proxies are believed by their number, a Host header only when it is known."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

from portal import create_app
from portal.config import ConfigError, Settings, load
from portal.extensions import db
from portal.http.proxies import NO_ADDRESS, plain_address
from portal.models import AuditEvent, Base, Invitation
from portal.runtime import runtime


@pytest.fixture
def seen_from(tmp_path):
    """``seen_from(proxies, header)``: the address from which a failed sign-in was noted."""

    def ask(proxies, header, **more):
        app = create_app(
            Settings(data_dir=tmp_path, secret_key="k" * 40, scheduler="off", proxies=proxies, **more)
        )
        app.config["WTF_CSRF_ENABLED"] = False
        with app.app_context():
            Base.metadata.create_all(db.engine)
        headers = {} if header is None else {"X-Forwarded-For": header}
        app.test_client().post(
            "/login",
            data={"email": "a@x.example", "password": "x"},
            headers=headers,
            environ_overrides={"REMOTE_ADDR": "192.0.2.9"},
        )
        with app.app_context():
            found = db.session.scalar(select(AuditEvent.ip).order_by(AuditEvent.at.desc()))
            db.session.remove()
            db.engine.dispose()
        return found

    return ask


@pytest.mark.parametrize(
    ("proxies", "header", "found"),
    [
        (0, "198.51.100.7", "192.0.2.9"),
        (1, "198.51.100.7", "198.51.100.7"),
        (1, "10.0.0.1, 198.51.100.7", "198.51.100.7"),  # what stands before was sent by the client
        (2, "10.0.0.1, 198.51.100.7, 203.0.113.1", "198.51.100.7"),
        (2, "198.51.100.7", "192.0.2.9"),  # one proxy less than was said: nobody is believed
        (1, None, "192.0.2.9"),
        (1, "no address", "192.0.2.9"),
        (1, "x" * 5000, "192.0.2.9"),
        (1, "198.51.100.7:4711", "198.51.100.7"),
        (1, "[2001:db8::1]:4711", "2001:db8::1"),
        (1, "fe80::1%" + "z" * 5000, "fe80::1"),
    ],
)
def test_the_client_is_who_the_outermost_of_our_proxies_saw(seen_from, proxies, header, found):
    assert seen_from(proxies, header) == found


@pytest.mark.parametrize(
    ("base", "found"),
    [
        ("https://rollcall.example", "198.51.100.7"),
        ("HTTPS://rollcall.example", "198.51.100.7"),
        ("http://rollcall.example:8000", "192.0.2.9"),  # nothing ends TLS: nobody stands in front
        ("", "192.0.2.9"),
    ],
)
def test_with_a_public_address_over_tls_there_is_one_proxy(seen_from, base, found):
    assert seen_from(None, "198.51.100.7", base_url=base) == found


@pytest.mark.parametrize("text", ["-1", "eleven", "99", "1.5"])
def test_a_number_of_proxies_that_is_none_stops_the_start(text):
    with pytest.raises(ConfigError, match="ROLLCALL_PROXIES: "):
        load({"ROLLCALL_PROXIES": text})


@pytest.mark.parametrize(
    "text", ["", " ", "::", "1.2.3", "999.1.1.1", "[::1", "2001:0db8:0000:0000:0000:0000:0000:0001"]
)
def test_an_address_is_short_or_none(text):
    assert len(plain_address(text)) <= 39


FOREIGN = "https://evil.example"


@pytest.fixture
def at(client_as):
    """``at(base)``: an administrator's browser whose requests name that host."""

    def build(base):
        browser = client_as()
        kept = browser.get_cookie("rollcall")
        browser.set_cookie("rollcall", kept.value, domain=urlsplit(base).hostname)
        return browser

    return build


LOCAL = ("http://localhost", "http://127.0.0.1:8000", "http://[::1]:8000")


@pytest.mark.parametrize("base", LOCAL)
def test_without_a_public_address_links_go_where_the_portal_is(at, base):
    answer = at(base).send(
        "/settings/people", {"email": "new@x.example", "role": "technician"}, base_url=base
    )
    assert f"{base}/invitations/" in answer.text


def test_no_link_is_made_from_an_unknown_host_and_nothing_is_done(app, at):
    browser = at(FOREIGN)
    answer = browser.send(
        "/settings/people",
        {"email": "new@x.example", "role": "technician"},
        base_url=FOREIGN,
        headers={"Referer": f"{FOREIGN}/settings/people"},
    )
    assert (answer.status_code, NO_ADDRESS in answer.text) == (409, True)
    with app.app_context():
        assert db.session.scalar(select(Invitation)) is None


@pytest.mark.parametrize("path", ["/settings/people", "/settings/microsoft", "/microsoft-tenants/connect"])
def test_pages_that_show_an_address_say_that_there_is_none(at, path):
    text = at(FOREIGN).get(path, base_url=FOREIGN).text
    assert "evil.example" not in text
    assert NO_ADDRESS in text


@pytest.mark.parametrize("path", ["/microsoft-tenants/consent", "/account/microsoft"])
def test_microsoft_is_not_told_an_unknown_host(at, path, monkeypatch):
    from portal.auth.oidc import SignInApp
    from portal.microsoft_sign_in import service

    monkeypatch.setattr(
        service, "sign_in_app", lambda *_: SignInApp("https://login.example", "x", "y", ("z",))
    )
    answer = at(FOREIGN).send(path, {}, base_url=FOREIGN, headers={"Referer": f"{FOREIGN}/"})
    assert (answer.status_code, NO_ADDRESS in answer.text) == (409, True)


def test_the_host_that_the_server_was_told_is_known(app, at):
    app.config["ROLLCALL_HOST"] = "rollcall.lan"
    base = "http://rollcall.lan:8000"
    answer = at(base).send(
        "/settings/people", {"email": "new@x.example", "role": "technician"}, base_url=base
    )
    assert f"{base}/invitations/" in answer.text


def test_with_a_public_address_the_host_does_not_matter(app, client_as):
    object.__setattr__(app.extensions["rollcall"].settings, "base_url", "https://rollcall.example")
    with app.app_context():
        assert runtime().settings.base_url
    browser = client_as()
    answer = browser.send("/settings/people", {"email": "new@x.example", "role": "technician"})
    assert "https://rollcall.example/invitations/" in answer.text
