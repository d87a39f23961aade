"""portal.css, joined from the files of static/styles: all of them, in the order of the list, at an address of its content."""

import shutil
from pathlib import Path

import pytest
from flask import Flask

from portal.http import static


@pytest.fixture
def copied(tmp_path):
    """An app without pages that serves a copy of static/, which a test may change."""
    own = Path(__file__).parents[3] / "static"
    shutil.copytree(own, tmp_path / "static", ignore=shutil.ignore_patterns("vendor"))
    (tmp_path / "static" / "vendor").symlink_to(own / "vendor")
    app = Flask("copied", root_path=str(tmp_path))
    static.serve_versions(app)
    forget()
    yield app
    forget()


def forget():
    """What is made once a process is made anew, as after a restart."""
    for made_once in (static._version, static._stylesheet):
        made_once.cache_clear()


def address(app):
    with app.test_request_context():
        return static.asset_url("portal.css")


def test_each_part_is_there_once_and_in_the_order_of_the_list(app):
    with app.test_client().get(address(app)) as answer:
        text = answer.text
    parts = [
        Path(app.static_folder, "styles", f"{name}.css").read_text(encoding="utf-8") for name in static.STYLES
    ]
    assert text == "\n".join(parts)
    assert answer.mimetype == "text/css"


def test_every_file_of_the_folder_is_listed(app):
    files = sorted(path.name for path in Path(app.static_folder, "styles").iterdir())
    assert files == sorted(f"{name}.css" for name in static.STYLES)


def test_who_has_it_is_told_that_nothing_changed(app):
    browser = app.test_client()
    with browser.get("/static/portal.css") as first:
        kept = {"If-None-Match": first.headers["ETag"]}
        assert first.headers["Cache-Control"] == "no-cache"
    with browser.get("/static/portal.css", headers=kept) as again:
        assert (again.status_code, again.data) == (304, b"")


def test_a_change_of_one_part_or_of_the_order_changes_the_address(copied, monkeypatch):
    before = address(copied)
    Path(copied.static_folder, "styles", "help.css").write_text(".rc-help { top: 0 }\n", encoding="utf-8")
    assert address(copied) == before  # made once a process
    forget()
    changed = address(copied)
    assert changed != before
    with copied.test_client().get(changed) as answer:
        assert answer.text.endswith(".rc-help { top: 0 }\n")
    monkeypatch.setattr(static, "STYLES", static.STYLES[::-1])
    forget()
    assert address(copied) not in {before, changed}
