"""A portal at work for browsers: the simulator over HTTPS, the scheduler, accounts, and steps no test looks at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from playwright.sync_api import Page
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server

from portal.auth import service as auth
from portal.auth import sessions as auth_sessions
from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.http import access
from portal.microsoft import service as microsoft
from portal.models import Account, MicrosoftTenant, Role
from portal.runtime import runtime
from simulator.server import SimulatorServer
from simulator.world import World
from tests.browser.guard import Guard
from tests.system.conftest import Api, running, settings_for, wait_until

BOTH = pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
PASSWORD = "correct horse battery"
PEOPLE = {
    "administrator": "ada@rollcall.example",
    "technician": "theo@rollcall.example",
    "read-only": "rita@rollcall.example",
}


class AtWork:
    """Where the portal answers, and how a test brings it to where its journey starts.

    The first Microsoft tenant is mapped to the Tenant ``tenant_id``, where tests add Organizations of their own.
    """

    def __init__(self, api: Api, simulator: SimulatorServer, base: str) -> None:
        self.api, self.simulator, self.base = api, simulator, base
        self.control = simulator.control
        self.signed_in: dict[str, Any] = {}
        self.home = simulator.world.tenants[simulator.tenant_ids[0]]
        self._others = iter(simulator.tenant_ids[1:])
        self.home_id = api.connected(self.home.id)["id"]
        self.organization_id = api.organization("Harborview", self.home_id)
        self.tenant_id = api.get(f"/organizations/{self.organization_id}")["tenant_id"]

    def organization(self, name: str) -> str:
        """One more Organization under the mapped Tenant."""
        return str(self.api.post("/organizations", {"name": name, "tenant_id": self.tenant_id})["id"])

    def another_microsoft_tenant(self) -> dict[str, Any]:
        """One more Microsoft tenant, connected and read, not mapped."""
        return self.api.connected(next(self._others))

    def on_its_own(self, name: str) -> tuple[str, str]:
        """An Organization with a Tenant of its own, not mapped: both ids."""
        found = self.api.post("/organizations", {"name": name})
        return str(found["id"]), str(found["tenant_id"])

    def staff(self, department: str, *names: str) -> list[str]:
        """People of a department of their own in the first Microsoft tenant, read already; their object ids."""
        ids = [
            self.control.create_user(
                self.home.id,
                displayName=name,
                userPrincipalName=f"{name.lower().replace(' ', '.')}@{self.home.domains[0]}",
                mail=f"{name.lower().replace(' ', '.')}@{self.home.domains[0]}",
                department=department,
                accountEnabled=True,
                userType="Member",
            )
            for name in names
        ]
        self.read()
        return ids

    def read(self) -> None:
        """Read the first Microsoft tenant now and wait for the end."""
        with self.api.application.app_context():
            mark_write(db.session())
            row = db.session.get_one(MicrosoftTenant, self.home_id)
            before = row.last_synced_at
            microsoft.request_read(row)
            db.session.commit()
            runtime().wake()

        def is_read() -> bool:
            with self.api.application.app_context():
                row = db.session.get_one(MicrosoftTenant, self.home_id)
                return row.read_requested_at is None and row.last_synced_at != before

        wait_until(is_read, "the read of the tenant")

    def synced(self, name: str, department: str, *people: str, **changes: Any) -> tuple[str, list[str]]:
        """An Organization whose sync took a department of its own: its id, and its people's object ids."""
        ids = self.staff(department, *people)
        organization = self.organization(name)
        run = self.api.enabled(organization, department=[department], **changes)
        assert run["status"] == "succeeded", run
        return organization, ids

    def may(self, role: str, method: str, path: str) -> bool:
        """True when somebody of this role may ask for an address; also when there is no such address."""
        app = self.api.application
        try:
            endpoint, _ = app.url_map.bind("localhost").match(path.partition("?")[0], method=method)
        except HTTPException:
            return True
        needed = access.required_role(app, endpoint)
        return needed in {None, access.PUBLIC} or Role(role).rank >= Role(needed).rank

    def person(self, organization: str, name: str) -> str:
        """An End User's id by the name."""
        rows = self.api.everything(f"/organizations/{organization}/end-users")
        return str(next(row["id"] for row in rows if row["display_name"] == name))


@contextmanager
def running_portal(folder: Path) -> Iterator[AtWork]:
    """Start everything, and stop it again."""
    patch = pytest.MonkeyPatch()
    with SimulatorServer(World(tenants=9, users=[60, *[12] * 8], seed=3)) as simulator:
        patch.setenv("REQUESTS_CA_BUNDLE", simulator.ca_file)
        with running(settings_for(simulator, folder)) as api:
            app = api.application
            with app.app_context():
                mark_write(db.session())
                for role, email in PEOPLE.items():
                    auth.add_account(db.session(), email=email, role=role, password=PASSWORD, now=utcnow())
                db.session.commit()
            with serving(app) as base:
                yield AtWork(api, simulator, base)
    patch.undo()


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The application at an address of this machine."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    # The default notices half a second later that it is to end.
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def looking(app: Flask, page: Page, guard: Guard) -> Iterator[str]:
    """The address of an application, for a page where an administrator is signed in; there was no account before."""
    with app.app_context():
        mark_write(db.session())
        account = Account(
            email="a@rollcall.example", name="Ada", role=Role.ADMINISTRATOR.value, created_at=utcnow()
        )
        db.session.add(account)
        db.session.flush()
        seen: dict[str, Any] = {"now": utcnow(), "ip": "", "user_agent": "", "method": "password"}
        token = auth_sessions.start_session(db.session(), account, **seen)
        db.session.commit()
    signer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert signer is not None
    with serving(app) as base:
        guard.home(base)
        value = signer.dumps({"_user_id": token, "_fresh": True})
        page.context.add_cookies([{"name": "rollcall", "value": str(value), "url": base}])
        yield base
        page.close()
