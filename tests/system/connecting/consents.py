"""A browser that asks for consent, what Microsoft answers it, and what became of that."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from flask import Flask
from flask.testing import FlaskClient

from portal.auth import service as accounts
from portal.clock import utcnow
from portal.errors import SourceTransient
from portal.extensions import db
from portal.models import AuditEvent, MicrosoftTenant, Role
from simulator.server import SimulatorServer

PASSWORD = "correct horse battery staple"
HTTPS = {"base_url": "https://127.0.0.1"}


def add_ann(app: Flask) -> None:
    """Create the tables of an empty database, and the administrator whom ``Browser`` signs in as."""
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


def offered(page: str) -> list[str]:
    """The directory ids of the customers that can be chosen."""
    return re.findall(r'type="checkbox" name="id"\s+value="([^"]+)"', page)


def unreachable() -> None:
    raise SourceTransient("Microsoft cannot be reached.", code="unreachable")
