"""The command line as an operator uses it, and what its exit codes are (interfaces.md)."""

import gzip
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


def test_O3_a_file_that_only_looks_like_a_backup_changes_nothing(rollcall, tmp_path):
    rollcall("token", "create", "ci", "--role", "read-only")
    good = tmp_path / "good"
    rollcall("backup", str(good))
    header, *rows, _ = [json.loads(line) for line in gzip.decompress(good.read_bytes()).decode().splitlines()]
    bad = {
        "no revision": [{"format": header["format"], "version": 1}, {"rows": 0}],
        "another version": [{**header, "version": 2}, {"rows": 0}],
        "unknown table": [header, ["secrets", {"id": 1}], {"rows": 1}],
        "unknown column": [header, ["organizations", {"color": "red"}], {"rows": 1}],
        "no row": [header, ["organizations", 5], {"rows": 1}],
        "broken key": [
            header,
            *rows,
            [
                "organizations",
                {"id": "a", "name": "A", "name_key": "a", "tenant_id": "nobody", "created_at": "2026-01-01"},
            ],
            {"rows": len(rows) + 1},
        ],
    }
    for name, lines in bad.items():
        file = tmp_path / name
        file.write_bytes(gzip.compress("\n".join(json.dumps(line) for line in lines).encode()))
        found = rollcall("restore", str(file))
        assert (found.returncode, found.stderr.count("\n")) == (1, 1), (name, found.stderr)
    again = tmp_path / "again"
    rollcall("backup", str(again))
    _, *rows_now, _ = [json.loads(line) for line in gzip.decompress(again.read_bytes()).decode().splitlines()]
    made = [
        values["action"]
        for table, values in rows_now
        if [table, values] not in rows and table != "audit_chain"
    ]
    assert [table for table, values in rows if [table, values] not in rows_now] == [
        "audit_chain"
    ]  # its head moved on
    assert made == ["backup_made"]


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
        (("ada@corp.local", "--expires", "2020-01-31"), "still to come"),
    ):
        refused = rollcall(*make, *options)
        assert (refused.returncode, refused.stderr.count("\n"), reason in refused.stderr) == (1, 1, True), (
            refused.stderr
        )
    above = rollcall("token", "create", "x", "--role", "administrator", "--owner", "ada@corp.local")
    assert above.returncode == 1 and "no more than its owner" in above.stderr
    assert rollcall(*make, "ada@corp.local", "--expires", "soon").returncode == 2


def test_C1_the_database_is_its_owners_alone(rollcall, tmp_path):
    assert rollcall("db", "upgrade").returncode == 0
    assert oct((tmp_path / "data" / "rollcall.db").stat().st_mode)[-3:] == "600"


def test_O3_backup_and_restore_bring_everything_back(rollcall, tmp_path):
    rollcall(
        "people",
        "add",
        "ada@corp.local",
        "--role",
        "administrator",
        "--password-stdin",
        stdin="correct horse battery\n",
    )
    file = tmp_path / "all.backup"
    assert json.loads(rollcall("backup", str(file), "--json").stdout)["rows"] >= 2
    assert oct(file.stat().st_mode)[-3:] == "600"
    rollcall(
        "people",
        "add",
        "bo@corp.local",
        "--role",
        "technician",
        "--password-stdin",
        stdin="correct horse battery\n",
    )
    assert rollcall("restore", str(file)).returncode == 0
    with sqlite3.connect(tmp_path / "data" / "rollcall.db") as database:
        assert database.execute("SELECT email FROM accounts").fetchall() == [("ada@corp.local",)]
    cut = tmp_path / "cut.backup"
    cut.write_bytes(file.read_bytes()[:-30])
    for bad in (cut, tmp_path / "none.backup", tmp_path):
        assert rollcall("restore", str(bad)).returncode in {1, 2}
    assert rollcall("restore", str(cut)).stderr.count("\n") == 1
    with sqlite3.connect(tmp_path / "data" / "rollcall.db") as database:
        assert database.execute("SELECT count(*) FROM accounts").fetchall() == [(1,)]


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


def test_O4_who_took_a_copy_and_who_put_one_back_is_in_the_log(rollcall, tmp_path):
    rollcall(
        "people",
        "add",
        "ada@corp.local",
        "--role",
        "administrator",
        "--password-stdin",
        stdin="correct horse battery\n",
    )
    file = tmp_path / "all.backup"
    assert rollcall("backup", str(file)).returncode == 0
    told = "SELECT action, source, detail FROM audit_events WHERE action LIKE 'backup%'"
    database = tmp_path / "data" / "rollcall.db"
    rows = json.loads(rollcall("backup", str(tmp_path / "another.backup"), "--json").stdout)["rows"]
    with sqlite3.connect(database) as connection:
        (action, source, detail), _ = connection.execute(told).fetchall()
    assert (action, source) == ("backup_made", "cli")
    assert json.loads(detail) == {"rows": rows - 1, "bytes": file.stat().st_size}
    head = rollcall("audit", "verify").stdout.split()[-1]
    assert rollcall("restore", str(file)).returncode == 0
    with sqlite3.connect(database) as connection:
        (restored,) = connection.execute(told).fetchall()
    assert restored[:2] == ("backup_restored", "cli") and json.loads(restored[2]) == {
        "rows": rows - 1,
        "replaced_head": head,
    }


def test_O4_audit_verify_names_the_first_event_that_was_changed_or_cut(rollcall, tmp_path):
    nothing = rollcall("audit", "verify")
    assert (nothing.returncode, nothing.stderr.count("\n")) == (
        1,
        1,
    ) and "rollcall db upgrade" in nothing.stderr
    for name in ("one", "two", "three"):
        assert rollcall("token", "create", name, "--role", "read-only").returncode == 0
    whole = rollcall("audit", "verify")
    assert whole.returncode == 0 and whole.stdout.startswith(
        "3 events, none changed or cut. The chain ends with 3:"
    )
    head = whole.stdout.split()[-1]
    files = [tmp_path / "log.csv", tmp_path / "log.json"]
    for file in files:
        assert rollcall("audit", "export", str(file)).returncode == 0
        assert oct(file.stat().st_mode)[-3:] == "600"
        assert rollcall("audit", "verify", str(file), "--head", head).returncode == 0
    told = json.loads(rollcall("audit", "verify", str(files[0]), "--json").stdout)
    assert (
        told["ok"],
        told["events"],
        told["problem"],
        f"{told['head']['number']}:{told['head']['hash']}",
    ) == (True, 3, None, head)
    with sqlite3.connect(tmp_path / "data" / "rollcall.db") as database:
        database.execute("UPDATE audit_events SET actor = 'nobody' WHERE number = 2")
    changed = rollcall("audit", "verify", "--json")
    assert (changed.returncode, changed.stderr.count("\n")) == (
        1,
        1,
    ) and "Event 2 (token_created" in changed.stderr
    told = json.loads(changed.stdout)
    assert (told["ok"], told["problem"]["kind"], told["problem"]["number"]) == (False, "changed", 2)
    files[0].write_text(files[0].read_text().replace("three", "tree"))
    forged = rollcall("audit", "verify", str(files[0]))
    assert (forged.returncode, forged.stdout) == (1, "") and forged.stderr.startswith(
        "Event 3 (token_created"
    )
    assert rollcall("audit", "verify", "--head", "3").returncode == 2
    assert rollcall("audit", "verify", str(tmp_path / "none.csv")).stderr.startswith("Cannot read")
