"""O3, O4: copies bring everything back, and the log says who took them and whether it was changed."""

import gzip
import json
import sqlite3


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


def test_C1_the_database_is_its_owners_alone(rollcall, tmp_path):
    assert rollcall("db", "upgrade").returncode == 0
    assert oct((tmp_path / "data" / "rollcall.db").stat().st_mode)[-3:] == "600"


def add_person(rollcall, email, role):
    rollcall("people", "add", email, "--role", role, "--password-stdin", stdin="correct horse battery\n")


def test_O3_backup_and_restore_bring_everything_back(rollcall, tmp_path):
    add_person(rollcall, "ada@corp.local", "administrator")
    file = tmp_path / "all.backup"
    assert json.loads(rollcall("backup", str(file), "--json").stdout)["rows"] >= 2
    assert oct(file.stat().st_mode)[-3:] == "600"
    add_person(rollcall, "bo@corp.local", "technician")
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


def test_O4_who_took_a_copy_and_who_put_one_back_is_in_the_log(rollcall, tmp_path):
    add_person(rollcall, "ada@corp.local", "administrator")
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
