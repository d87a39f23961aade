"""Each command does what it says, or fails with one line that says why."""

import json
import re
import socket
import sqlite3
import subprocess
import sys

from simulator.server import SimulatorServer
from simulator.world import World


def test_wrong_usage_is_2_and_a_failure_is_1_with_one_line(rollcall, program, monkeypatch):
    assert program("no-such-command").returncode == 2
    assert rollcall("people", "add", "a@x.example", "--role", "king").returncode == 2
    assert rollcall("--help").returncode == 0
    monkeypatch.setenv("ROLLCALL_SYNC_INTERVAL_MINUTES", "0")
    bad = program("db", "upgrade")
    assert (
        bad.returncode == 1
        and bad.stderr.startswith("ROLLCALL_SYNC_INTERVAL_MINUTES: ")
        and bad.stderr.count("\n") == 1
    )


def test_what_is_logged_on_the_way_is_no_second_line():
    code = "import logging, sys; from portal.cli.app import main; sys.argv[1:] = ['--help']\ntry: main()\nfinally: logging.getLogger('portal.engine').warning('x')"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
        ).stderr
        == ""
    )


def test_an_unreachable_database_is_one_clear_line(rollcall, monkeypatch):
    monkeypatch.setenv("ROLLCALL_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    found = rollcall("db", "upgrade")
    assert (
        found.returncode == 1 and "ROLLCALL_DATABASE_URL" in found.stderr and "Traceback" not in found.stderr
    )


def test_a_database_that_is_none_or_newer_is_one_clear_line(rollcall, program, tmp_path):
    file = tmp_path / "data" / "rollcall.db"
    file.parent.mkdir()
    file.write_text("this is no database, but a text that is long enough to be taken for one " * 20)
    found = rollcall("token", "create", "ci", "--role", "read-only")
    assert (found.returncode, found.stderr.count("\n")) == (1, 1) and "ROLLCALL_DATABASE_URL" in found.stderr
    file.unlink()
    rollcall("db", "upgrade")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffff'")
    for found in (rollcall("db", "upgrade"), program("worker")):
        assert (found.returncode, found.stderr.count("\n")) == (1, 1) and "newer Rollcall" in found.stderr


def test_a_taken_port_is_one_line_and_makes_no_new_setup_address(rollcall):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for command in (
            ("serve", "--port", port),
            ("demo", "--port", port),
            ("serve", "--host", "no.such.host.invalid"),
        ):
            found = rollcall(*command)
            assert (found.returncode, found.stdout, found.stderr.count("\n")) == (1, "", 1), found.stderr


def test_people_and_tokens(rollcall, program):
    assert json.loads(rollcall("db", "upgrade", "--json").stdout) == {"up_to_date": True}
    added = program(
        "people",
        "add",
        "Ada@corp.local",
        "--role",
        "administrator",
        "--password-stdin",
        stdin="correct horse battery\n",
    )
    assert added.returncode == 0, added.stderr
    again = rollcall(
        "people",
        "add",
        "ada@corp.local",
        "--role",
        "technician",
        "--password-stdin",
        stdin="correct horse battery\n",
    )
    assert again.returncode == 1 and "already" in again.stderr
    for address, why in (("nonsense", "email"), ("ada@corp.local", "already")):
        asked = rollcall("people", "add", address, "--role", "technician", stdin="correct horse battery\n")
        assert asked.returncode == 1 and why in asked.stderr.lower()
        assert "Password" not in asked.stdout + asked.stderr, "nobody types a password for nothing"
    short = rollcall("people", "add", "b@corp.local", "--role", "technician", "--password-stdin", stdin="x\n")
    assert short.returncode == 1 and "password" in short.stderr
    token = rollcall("token", "create", "ci", "--role", "read-only")
    assert token.returncode == 0 and token.stdout.splitlines()[-1].startswith("rc_")
    assert rollcall("token", "create", "ci", "--role", "read-only").returncode == 1


def test_a_token_of_the_command_line_can_have_an_owner_and_an_end(rollcall):
    rollcall(
        "people",
        "add",
        "ada@corp.local",
        "--role",
        "technician",
        "--password-stdin",
        stdin="correct horse battery\n",
    )
    make = ("token", "create", "nightly", "--role", "technician", "--owner")
    first = rollcall(
        "token",
        "create",
        "ci",
        "--role",
        "technician",
        "--owner",
        "Ada@corp.local",
        "--expires",
        "2099-01-31",
        "--json",
    )
    made = json.loads(first.stdout)
    assert (made["owner"], made["expires_at"]) == ("ada@corp.local", "2099-01-31T00:00:00Z")
    for options, reason in (
        (("nobody@corp.local",), "no account nobody@corp.local"),
        (("ada@corp.local", "--expires", "2020-01-31"), "in the future"),
    ):
        refused = rollcall(*make, *options)
        assert (refused.returncode, refused.stderr.count("\n"), reason in refused.stderr) == (1, 1, True), (
            refused.stderr
        )
    above = rollcall("token", "create", "x", "--role", "administrator", "--owner", "ada@corp.local")
    assert above.returncode == 1 and "no more than its owner" in above.stderr
    assert rollcall(*make, "ada@corp.local", "--expires", "soon").returncode == 2


def test_sync_run_preview_and_explain_do_what_the_pages_do(rollcall, program, monkeypatch, tmp_path):
    with SimulatorServer(World(tenants=1, users=[40], seed=5)) as simulator:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", simulator.ca_file)
        monkeypatch.setenv("MICROSOFT_LOGIN_URL", simulator.base_url)
        monkeypatch.setenv("MICROSOFT_GRAPH_URL", simulator.base_url)
        monkeypatch.setenv("MICROSOFT_CLIENT_ID", simulator.client_id)
        monkeypatch.setenv("MICROSOFT_CLIENT_SECRET", simulator.client_secret)
        known = {"password": "correct horse battery", "people": [], "macs": []}
        seeded = rollcall("demo-seed", simulator.tenant_ids[0], stdin=json.dumps(known))
        assert seeded.returncode == 0, seeded.stderr
        name = simulator.world.tenants[simulator.tenant_ids[0]].name
        assert "no Microsoft User Sync" in rollcall("sync", "preview", name).stderr
        assert rollcall("sync", "run", "Nobody Ltd").returncode == 1
        _enable(tmp_path / "data" / "rollcall.db", name)
        done = program("sync", "run", name, "--json")
        assert done.returncode == 0, done.stderr
        run = json.loads(done.stdout)
        assert run["status"] == "succeeded" and run["counts"]["created"] > 20
        assert all(
            re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", run[name])
            for name in ("started_at", "finished_at")
        )
        assert json.loads(rollcall("sync", "preview", name, "--json").stdout)["counts"]["created"] == 0
        somebody = next(
            u["userPrincipalName"]
            for u in simulator.control.users(simulator.tenant_ids[0])
            if u.get("mail") and u.get("accountEnabled")
        )
        told = rollcall("sync", "explain", name, somebody)
        assert told.returncode == 0 and "accepted" in told.stdout
        assert rollcall("sync", "explain", name, "nobody@x.example").returncode == 1


def _enable(path, name):
    """What the pop-up would do, by the same service."""
    from portal import create_app
    from portal.config import load
    from portal.extensions import db
    from portal.models import Organization
    from portal.user_sync import documents, service

    app = create_app(load())
    with app.app_context():
        service.put(db.session.query(Organization).filter_by(name=name).one(), documents.default_request())
        db.session.commit()
        db.engine.dispose()


def test_simulate_prints_one_json_line_with_everything_needed(rollcall):
    process = subprocess.Popen(
        [sys.executable, "-m", "portal.cli", "simulate", "--port", "0", "--users", "20"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        facts = json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()
    assert {"login_url", "graph_url", "ca_file", "client_id", "client_secret", "tenant_ids"} <= set(facts)
