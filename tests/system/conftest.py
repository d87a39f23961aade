"""A portal and a simulated Microsoft, talking HTTPS, driven through the API only; the scheduler runs for real."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal import create_app
from portal.clock import utcnow
from portal.config import Settings
from portal.crypto import hash_token
from portal.extensions import db
from portal.models import ApiToken
from portal.worker.scheduler import Scheduler
from simulator.server import SimulatorServer
from simulator.world import World
from tests.api.conformance import conforms

FINISHED = {"succeeded", "partial", "failed", "held", "cancelled"}
PATIENCE = 60.0


def wait_until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Ask again and again until the answer is true, and give it. Fails with ``what`` after a bounded time."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        pause.wait(0.05)
    raise AssertionError(f"waited {seconds:.0f} s in vain: {what}")


class Api:
    """The REST API as a program outside uses it, with what the tests say often. Every answer is as it is described."""

    def __init__(self, client: FlaskClient, token: str) -> None:
        self._client = client
        self.application = client.application
        self._headers = {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, body: Any = None, *, status: int | None = None) -> Any:
        answer = self._client.open(f"/api/v1{path}", method=method, json=body, headers=self._headers)
        if self.application is not None:  # it is when the portal is another process
            conforms(self.application, method, path, answer)
        if status is not None:
            assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.get_json(silent=True) if answer.status_code != 204 else None

    def get(self, path: str, status: int = 200) -> Any:
        return self.call("GET", path, status=status)

    def post(self, path: str, body: Any = None, status: int = 201) -> Any:
        return self.call("POST", path, {} if body is None else body, status=status)

    def put(self, path: str, body: Any, status: int = 200) -> Any:
        return self.call("PUT", path, body, status=status)

    def patch(self, path: str, body: Any, status: int = 200) -> Any:
        return self.call("PATCH", path, body, status=status)

    def delete(self, path: str, status: int = 204) -> Any:
        return self.call("DELETE", path, status=status)

    def everything(self, path: str) -> list[Any]:
        """All items of a list."""
        mark = "&" if "?" in path else "?"
        found: list[Any] = []
        page = 1
        while True:
            answer = self.get(f"{path}{mark}per_page=500&page={page}")
            found += answer["items"]
            if len(found) >= answer["total"]:
                return found
            page += 1

    # the steps of every story

    def connect(self, directory_id: str) -> dict[str, Any]:
        return self.post("/microsoft-tenants", {"directory_id": directory_id})

    def connected(self, directory_id: str) -> dict[str, Any]:
        """Connect and wait for the first read, which starts by itself."""
        found = self.connect(directory_id)
        path = f"/microsoft-tenants/{found['id']}"
        wait_until(lambda: self.get(path)["last_synced_at"], "the first read")
        return self.get(path)

    def organization(self, name: str, microsoft_tenant_id: str) -> str:
        """Create an Organization with its own Tenant and map that."""
        found = self.post("/organizations", {"name": name})
        self.put(
            f"/tenants/{found['tenant_id']}/microsoft-tenant", {"microsoft_tenant_id": microsoft_tenant_id}
        )
        return str(found["id"])

    def finished(self, run_id: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Follow a run to its end."""
        wait_until(
            lambda: self.get(f"/sync-runs/{run_id}")["status"] in FINISHED,
            f"the end of run {run_id}",
            seconds,
        )
        return self.get(f"/sync-runs/{run_id}")

    def enabled(self, organization_id: str, **changes: Any) -> dict[str, Any]:
        """Enable with All everywhere except ``changes``, and follow the initial run to its end."""
        document = self.put(f"/organizations/{organization_id}/user-sync", request(**changes))
        return self.finished(document["last_run"]["id"])

    def synced(self, organization_id: str) -> dict[str, Any]:
        """Sync now, to its end."""
        run = self.post(f"/organizations/{organization_id}/user-sync/runs", status=202)
        return self.finished(run["id"])

    def people(self, organization_id: str) -> dict[str, dict[str, Any]]:
        """End Users by e-mail address, case-folded."""
        rows = self.everything(f"/organizations/{organization_id}/end-users")
        return {row["email"].casefold(): row for row in rows}


def request(**changes: Any) -> dict[str, Any]:
    """PUT's body: a section named in ``changes`` takes only those values; other names are the other fields."""
    sections = ("user_type", "domain", "office_location", "department", "group")
    filters = {name: {"all": name not in changes, "values": list(changes.get(name, ()))} for name in sections}
    others = {name: value for name, value in changes.items() if name not in sections}
    return {"filters": filters, **others}


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatorServer]:
    with SimulatorServer(World(tenants=2, users=[60, 30], seed=3, delta_page_size=25)) as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", server.ca_file)
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request: pytest.FixtureRequest, prepared: Callable[[str], str]) -> str:
    """A database of each kind with the tables, empty."""
    return prepared(request.param)


def settings_for(simulator: SimulatorServer, folder: Path, **changes: Any) -> Settings:
    """A portal's settings that point at the simulator."""
    values: dict[str, Any] = {
        "data_dir": folder,
        "database_url": f"sqlite:///{folder / 'rollcall.db'}",
        "secret_key": "a secret key for tests only",
        "client_id": simulator.client_id,
        "client_secret": simulator.client_secret,
        "login_url": simulator.base_url,
        "graph_url": simulator.base_url,
        "scheduler": "off",
    }
    return Settings(**{**values, **changes})


@contextmanager
def running(settings: Settings) -> Iterator[Api]:
    """A portal with its scheduler at work, and an administrator's token."""
    app: Flask = create_app(settings)
    with app.app_context():
        db.create_all()
        db.session.add(
            ApiToken(
                name="system test",
                role="administrator",
                token_hash=hash_token("the-token"),
                created_at=utcnow(),
            )
        )
        db.session.commit()
    scheduler = Scheduler(app)
    scheduler.start()
    try:
        yield Api(app.test_client(), "the-token")
    finally:
        scheduler.stop(wait=20)
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def api(simulator: SimulatorServer, tmp_path: Path, prepared: Callable[[str], str]) -> Iterator[Api]:
    """A running portal on SQLite."""
    with running(settings_for(simulator, tmp_path, database_url=prepared("sqlite"))) as api:
        yield api
