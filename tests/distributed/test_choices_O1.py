"""O1: choices that cannot work are refused at the start in one line, and a queue that nobody works on is seen."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from portal.cli.app import main
from portal.config import ConfigError, load
from portal.operations import choices
from tests.distributed import customers
from tests.distributed.customers import differences, finished, press
from tests.distributed.installation import ROOT, Process, installed
from tests.system.conftest import wait_until


def said(tmp_path, *arguments, program=main, **environment):
    """(exit code, lines) of a command that is to fail."""
    given = {"PATH": "/usr/bin", "ROLLCALL_DATA_DIR": str(tmp_path), **environment}
    process = Process(program, list(arguments), given, tmp_path / f"{arguments[0]}.log")
    return process.wait(120), process.log.read_text().splitlines()


def main_without_procrastinate():
    find = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *more: None if name == "procrastinate" else find(name, *more)
    main()


def test_distributed_on_sqlite_is_refused(tmp_path):
    for command in (("serve", "--port", "0"), ("worker",)):
        code, (line,) = said(tmp_path, *command, ROLLCALL_SCHEDULER="distributed")
        assert code == 1
        assert line.startswith("ROLLCALL_SCHEDULER: distributed needs PostgreSQL")


def test_distributed_without_procrastinate_is_refused(tmp_path):
    given = {
        "ROLLCALL_SCHEDULER": "distributed",
        "ROLLCALL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
    }
    code, (line,) = said(tmp_path, "serve", "--port", "0", program=main_without_procrastinate, **given)
    assert code == 1
    assert "rollcall[scale]" in line


def test_a_worker_for_an_embedded_portal_is_refused(tmp_path):
    code, (line,) = said(tmp_path, "worker")
    assert code == 1
    assert "ROLLCALL_SCHEDULER=distributed" in line


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs", "ceph", "lustre"])
def test_sqlite_on_a_network_file_system_is_refused(tmp_path, monkeypatch, kind):
    mounts = tmp_path / "mounts"
    shared = tmp_path / "with space"
    shared.mkdir()
    escaped = str(shared).replace(" ", "\\040")
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {escaped} {kind} rw 0 0\n")
    monkeypatch.setattr(choices, "MOUNTS", mounts)
    with pytest.raises(ConfigError, match=f"network file system .{kind}.*local disk") as refused:
        choices.check(load({"ROLLCALL_DATA_DIR": str(shared / "not" / "yet")}))
    assert "\n" not in str(refused.value)
    choices.check(load({"ROLLCALL_DATA_DIR": str(tmp_path / "local")}))


def test_local_file_systems_are_not_refused(tmp_path, monkeypatch):
    """A container's own layers among them, and whatever is mounted over a share."""
    mounts = tmp_path / "mounts"
    for kind in ("overlay", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "apfs", "virtiofs", "fuse.grpcfuse"):
        mounts.write_text(f"server:/x / nfs rw 0 0\nx {tmp_path} {kind} rw 0 0\n")
        monkeypatch.setattr(choices, "MOUNTS", mounts)
        choices.check(load({"ROLLCALL_DATA_DIR": str(tmp_path)}))


def test_embedded_mode_does_not_import_procrastinate(tmp_path):
    """With its scheduler running, and its tables made where the database is PostgreSQL: the library is an extra."""
    code = """
import sys
from portal import create_app
from portal.extensions import db
from portal.operations import schema
from portal.worker.scheduler import Scheduler
app = create_app()
with app.app_context():
    schema.upgrade(db.engine)
scheduler = Scheduler(app)
scheduler.start()
app.test_client().get("/readyz")
app.test_client().get("/metrics")
scheduler.stop(wait=10)
print([name for name in sys.modules if name.startswith(("procrastinate", "psycopg_pool", "asgiref"))])
"""
    environment = {"PATH": "/usr/bin", "ROLLCALL_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_only_two_modules_know_procrastinate():
    found = {
        path.name
        for path in (Path(ROOT) / "portal").rglob("*.py")
        if any(
            line.startswith(("import procrastinate", "from procrastinate"))
            for line in path.read_text().splitlines()
        )
    }
    assert found == {"distributed.py", "distributed_worker.py"}


@pytest.mark.postgres
@pytest.mark.timeout(400)
def test_a_queue_that_nobody_works_on_is_seen(one, worker, simulator):
    assert one.ready() == (200, {"status": "ready", "workers": 0}), "nothing waits yet"
    tenant = one.api.connect(simulator.tenant_ids[0])
    # As if half a minute were over: the job has waited for longer than workers take to restart.
    one.sql("UPDATE procrastinate_events SET at = at - interval '31 seconds'")
    status, body = one.ready()
    assert (status, body["status"], body["workers"]) == (503, "not ready", 0)
    assert "start `rollcall worker`" in body["detail"]
    metrics = one.api.call.__self__._client._session.get(f"{one.bases[0]}/metrics", timeout=30).text  # type: ignore[attr-defined]
    assert "rollcall_workers 0.0" in metrics
    assert 'rollcall_jobs_waiting{lane="hourly"} 1.0' in metrics
    doctor = one.run("doctor")
    doctor.wait(60)
    told = doctor.log.read_text()
    assert "Jobs waiting: 1; workers: 0." in told and "Start `rollcall worker`." in told, told
    worker()
    wait_until(
        lambda: one.api.get(f"/microsoft-tenants/{tenant['id']}")["last_synced_at"], "the first read", 120
    )
    assert wait_until(lambda: (one.ready() or (0,))[0] == 200, "ready")


@pytest.mark.timeout(400)
def test_two_servers_on_one_sqlite_file_share_the_work(simulator, tmp_path):
    """Leases are in the file: each tenant is synced by one of them at a time."""
    database = f"sqlite:///{tmp_path}/rollcall.db"
    settings = {"ROLLCALL_SCHEDULER": "embedded"}
    with installed(simulator, None, tmp_path, url=database, **settings) as one:
        one.start(webs=2)
        found = customers.connect(one, simulator, 2)
        for number in (0, 1, 0):
            runs = [
                one.api_at(number).post(
                    f"/organizations/{customer.organization_id}/user-sync/runs", status=202
                )["id"]
                for customer in found
            ]
            assert {finished(one, run)["status"] for run in runs} == {"succeeded"}
        assert [differences(one, customer) for customer in found] == [[], []]
        assert finished(one, press(one, found[0]))["counts"]["unchanged"] == len(found[0].truth)
