"""Steps of a browser without script that signs in with Microsoft, and what the portal keeps of it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pyotp
import requests
from flask import Flask
from flask.testing import FlaskClient

from portal.auth import links
from portal.auth import service as accounts
from portal.clock import utcnow
from portal.extensions import db
from portal.models import AuditEvent
from portal.runtime import runtime
from simulator.server import SimulatorServer

PASSWORD = "correct horse battery staple"


def ask(client: FlaskClient, path: str) -> Any:
    return client.get(path, base_url="https://127.0.0.1")


def send(client: FlaskClient, path: str, **form: str) -> Any:
    """Post a form with the token of its page."""
    page = ask(
        client,
        "/login"
        if path.startswith("/login")
        else "/account"
        if "/account" in path
        else path.removesuffix("/microsoft"),
    )
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None, page.text[:500]
    return client.post(
        path,
        data={"csrf_token": token[1], **form},
        base_url="https://127.0.0.1",
        headers={"Referer": "https://127.0.0.1/"},
    )


def answer_of(simulator: SimulatorServer, away: Any, tenant: int = 0) -> str:
    """What Microsoft sends the browser back with, once the first ordinary person of that tenant was chosen."""
    home = simulator.world.tenants[simulator.tenant_ids[tenant]]
    who = next(
        u for u in simulator.control.users(home.id) if u["userType"] == "Member" and u["accountEnabled"]
    )
    parts = urlsplit(away.headers["Location"])
    query = urlencode({**dict(parse_qsl(parts.query)), "login_hint": who["userPrincipalName"]})
    reply = requests.get(
        parts._replace(query=query).geturl(), verify=simulator.ca_file, allow_redirects=False, timeout=10
    )
    assert reply.status_code in {302, 303}, reply.text[:300]
    back = urlsplit(reply.headers["Location"])
    return f"{back.path}?{back.query}"


def connected(client: FlaskClient, simulator: SimulatorServer) -> None:
    """Sign in with the password and tie the Microsoft account."""
    assert send(client, "/login", email="mila@rollcall.example", password=PASSWORD).status_code == 303
    away = send(client, "/account/microsoft", password=PASSWORD)
    assert ask(client, answer_of(simulator, away)).headers["Location"].endswith("/account#microsoft")


def failures(app: Flask) -> int:
    with app.app_context():
        return db.session.query(AuditEvent).filter_by(action="sign_in_failed").count()


def with_authenticator(app: Flask, email: str) -> pyotp.TOTP:
    """Give an account an authenticator, whose codes from the next step on sign in."""
    secret = pyotp.random_base32()
    with app.app_context():
        account = accounts.find_account(db.session(), email)
        assert account is not None
        account.totp_secret = runtime().box.encrypt(secret, purpose=f"totp:{account.id}")
        db.session.commit()
    return pyotp.TOTP(secret)


def tied_to(app: Flask, email: str) -> str | None:
    with app.app_context():
        account = accounts.find_account(db.session(), email)
        assert account is not None
        return account.microsoft_oid


def reset_link(app: Flask, email: str) -> str:
    with app.app_context():
        token = links.invite(db.session(), email=email, role="read-only", now=utcnow(), by="test").token
        db.session.commit()
        return token


def enter(client: FlaskClient, code: str) -> Any:
    """The second step, as its page has it."""
    page = ask(client, "/login/microsoft/code")
    assert page.status_code == 200 and "six-digit code" in page.text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    form = {"csrf_token": token[1], "code": code}
    return client.post(
        "/login/microsoft/code",
        data=form,
        base_url="https://127.0.0.1",
        headers={"Referer": "https://127.0.0.1/"},
    )
