"""A client that is generated from our OpenAPI document, as a customer's program has it, does the main job (O2)."""

from __future__ import annotations

import importlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import httpx
import pytest

from simulator.server import SimulatorServer
from tests.browser.running_portal import serving
from tests.system.conftest import FINISHED, running, settings_for, wait_until

PACKAGE = "rollcall_client"
# The generator knows no CSV and no plain text, but files.
CONFIG = (
    "content_type_overrides:\n  text/csv: application/octet-stream\n  text/plain: application/octet-stream\n"
)


class Generated(Protocol):
    """``part("models")`` is a module of the generated package."""

    def __call__(self, name: str) -> ModuleType: ...


@pytest.fixture
def base(simulator: SimulatorServer, tmp_path: Path) -> Iterator[str]:
    """Where the API of a running portal answers."""
    with running(settings_for(simulator, tmp_path)) as api, serving(api.application) as address:
        yield f"{address}/api/v1"


@pytest.fixture
def part(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Generated]:
    """The generated package, made offline and without a warning about the document."""
    document, config, folder = tmp_path / "openapi.json", tmp_path / "generator.yml", tmp_path / "generated"
    folder.mkdir()
    document.write_bytes(httpx.get(f"{base}/openapi.json").raise_for_status().content)
    config.write_text(CONFIG, encoding="utf-8")
    programs = Path(sys.executable).parent
    made = subprocess.run(
        [
            programs / "openapi-python-client",
            "generate",
            "--fail-on-warning",
            "--meta",
            "none",
            "--path",
            document,
            "--config",
            config,
            "--output-path",
            folder / PACKAGE,
        ],
        env={
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "http_proxy": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0 and "arning" not in made.stdout + made.stderr, made.stdout + made.stderr
    monkeypatch.syspath_prepend(str(folder))
    yield lambda name: importlib.import_module(f"{PACKAGE}.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def test_O2_a_generated_client_makes_a_customer_enables_a_sync_and_reads_people(
    simulator: SimulatorServer, base: str, part: Generated
) -> None:
    """Over 50 lines: one client's whole way; each call is made with what the one before it gave."""
    models: Any = part("models")
    with part("client").AuthenticatedClient(
        base_url=base, token="the-token", raise_on_unexpected_status=True
    ) as client:

        def call(operation: str, *arguments: Any, **named: Any) -> Any:
            return part(f"api.{operation}").sync(*arguments, client=client, **named)

        connected = call(
            "microsoft_tenants.connect_microsoft_tenant",
            body=models.NewMicrosoftTenant(simulator.tenant_ids[0]),
        )
        assert isinstance(connected, models.MicrosoftTenant)
        wait_until(
            lambda: call("microsoft_tenants.get_microsoft_tenant", connected.id).last_synced_at,
            "the first read",
        )

        tenant = call("tenants.create_tenant", body=models.TenantName("Harborview"))
        organization = call(
            "organizations.create_organization",
            body=models.NewOrganization("Harborview Clinic", tenant_id=tenant.id),
        )
        assert organization.tenant_id == tenant.id
        mapped = call("tenants.map_tenant", tenant.id, body=models.Mapping(connected.id))
        assert mapped.microsoft_tenant_id == connected.id

        everybody = models.Section(all_=True)
        filters = models.Filters(everybody, everybody, everybody, everybody, everybody)
        preview = call("user_sync.preview_user_sync", organization.id, body=models.UserSyncRequest(filters))
        enabled = call("user_sync.put_user_sync", organization.id, body=models.UserSyncRequest(filters))
        run = wait_until(
            lambda: (
                (found := call("sync_runs.get_sync_run", enabled.last_run.id)).status in FINISHED and found
            ),
            "the end of the initial run",
        )
        assert run.status is models.SyncRunStatus.SUCCEEDED
        assert run.counts.created == preview.counts.created > 0

        people = call(
            "end_users.list_end_users", organization.id, per_page=500, source=models.ListEndUsersSource.SYNC
        )
        assert isinstance(people, models.EndUserList)
        assert people.total == len(people.items) == run.counts.created
        assert all(isinstance(one.microsoft, models.LinkedAccount) for one in people.items)
        one = call("end_users.get_end_user", people.items[0].id)
        assert one == people.items[0] and one.microsoft.last_synced_at.tzinfo is not None

        refused = call("organizations.create_organization", body=models.NewOrganization("Harborview Clinic"))
        assert isinstance(refused, models.Problem) and refused.status == 422
        assert list(refused.errors.additional_properties) == ["name"]

        file = part("types").File(io.BytesIO(b"email,display_name\nida@hand.example,Ida\n"))
        planned = call("imports.import_end_users", organization.id, body=file, dry_run=True)
        assert (planned.import_id, planned.created, planned.rows[0].name) == (None, 1, "Ida")
        exported = call(
            "end_users.export_end_users", organization.id, source=models.ExportEndUsersSource.SYNC
        )
        assert len(exported.payload.read().decode().splitlines()) == 1 + people.total
