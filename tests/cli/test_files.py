"""CSV at the command line: the same pipeline as the pages and the API (O2)."""

import json

from portal import create_app
from portal.extensions import db
from portal.organizations import service


def test_O2_a_file_goes_in_comes_out_and_is_taken_back(rollcall, program, tmp_path):
    assert rollcall("db", "upgrade").returncode == 0
    with create_app().app_context():
        service.create("Reef")
        db.session.commit()
        db.engine.dispose()
    sheet = tmp_path / "people.csv"
    sheet.write_text("Email;Name\nann@x.example;Ann\nbad;Bad\n")
    dry = rollcall("import", "end-users", "Reef", str(sheet), "--dry-run", "--json")
    assert (dry.returncode, json.loads(dry.stdout)["created"]) == (0, 1)
    assert "ann@x.example" not in rollcall("export", "end-users", "Reef").stdout
    done = rollcall("import", "end-users", "Reef", str(sheet))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 created, 0 updated, 0 unchanged, 1 rejected.\nLine 3: ")
    found = program("export", "end-users", "Reef", "--bom").stdout
    assert found.startswith("\ufeffdisplay_name") and "ann@x.example" in found
    again = json.loads(rollcall("import", "end-users", "Reef", str(sheet), "--json").stdout)
    assert (again["unchanged"], again["status"]) == (1, "succeeded")
    assert rollcall("undo-import", again["import_id"]).returncode == 0
    twice = rollcall("undo-import", again["import_id"])
    assert (twice.returncode, twice.stderr.count("\n")) == (1, 1)
    sheet.write_bytes(b"\xff\xfee\x00")
    bad = rollcall("import", "assets", "Reef", str(sheet))
    assert (bad.returncode, "CSV UTF-8" in bad.stderr) == (1, True)
