"""The frame of every page: two faces, successes, errors, headers, files."""

import json
import logging
from pathlib import Path

import pytest
from flask import url_for
from sqlalchemy import event

from portal.extensions import db
from portal.http import responses, static
from portal.models import Role
from tests.web.html_checks import check_page

HTMX = {"HX-Request": "true"}


def test_every_macro_makes_a_clean_page_whatever_the_view_calls_its_values(client_as):
    page = client_as(Role.READ_ONLY).get("/trial/kitchen-sink")
    text = page.get_data(as_text=True)
    check_page(text, "/trial/kitchen-sink")
    assert "\x00" not in text
    assert "\u202e" not in text
    assert 'aria-sort="descending"' in text
    assert "401–450 of 1,312 filtered, 2,000 in all" in text


def test_one_address_two_faces(client_as):
    browser = client_as(Role.READ_ONLY)
    whole = browser.get("/trial/two-faces")
    block = browser.htmx("/trial/two-faces", "people_table")
    assert whole.text.startswith("<!doctype html>")
    assert block.text.startswith('<section id="people_table"><bdi>Ada</bdi>')
    for answer in (whole, block):
        assert {"hx-request", "hx-target"} <= {name.lower() for name in answer.vary}


@pytest.mark.parametrize("extra", [{"HX-Boosted": "true"}, {"HX-History-Restore-Request": "true"}, {}])
def test_the_whole_page_comes_where_no_block_was_meant(client_as, extra):
    target = {"HX-Target": "people_table"} if extra else {"HX-Target": "somewhere_else"}
    answer = client_as(Role.READ_ONLY).get("/trial/two-faces", headers=HTMX | target | extra)
    assert "<html" in answer.text


def test_success_without_script_is_a_redirect_and_the_toast_waits_there(client_as):
    browser = client_as(Role.READ_ONLY)
    answer = browser.send("/trial/act/events")
    assert (answer.status_code, answer.location) == (303, "/trial/two-faces")
    assert "Deleted Ægir." in browser.get("/trial/two-faces").text
    assert "Deleted Ægir." not in browser.get("/trial/two-faces").text


def test_success_under_htmx_is_events_with_ids_and_the_toast_in_the_body(client_as):
    answer = client_as(Role.READ_ONLY).htmx("/trial/act/events", method="POST")
    assert json.loads(answer.headers["HX-Trigger"]) == {"end-user-deleted": {"id": "7"}}
    assert "Ægir" not in str(answer.headers)
    assert 'hx-swap-oob="beforeend"' in answer.text
    assert answer.headers["HX-Reswap"] == "none"


def test_success_under_htmx_may_be_nothing_but_events(client_as):
    answer = client_as(Role.READ_ONLY).htmx("/trial/act/quiet", method="POST")
    assert (answer.status_code, answer.text) == (204, "")


def test_success_under_htmx_may_be_a_row(client_as):
    answer = client_as(Role.READ_ONLY).htmx("/trial/act/body", method="POST")
    assert answer.text.startswith("<tr></tr>")
    assert "HX-Reswap" not in answer.headers


def test_success_under_htmx_may_lead_elsewhere(client_as):
    browser = client_as(Role.READ_ONLY)
    answer = browser.htmx("/trial/act/navigate", method="POST")
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/trial/two-faces")
    assert "Saved." in browser.get("/trial/two-faces").text


ERRORS = [
    ("forbidden", 403, "Ask an administrator"),
    ("invalid", 422, "Enter a name."),
    ("needs-admin", 409, "app registration"),
    ("not-found", 404, "may have been deleted"),
    ("refused", 409, "Disable its User Sync first"),
    ("later", 503, "being read"),
    ("source", 502, "cut short"),
    ("404", 404, "may have moved"),
    ("405", 405, "own buttons"),
    ("413", 413, "smaller file"),
    ("slow-down", 429, "Wait a minute"),
]


@pytest.mark.parametrize(("kind", "status", "advice"), ERRORS)
@pytest.mark.parametrize("is_signed_in", [True, False])
def test_an_error_is_a_page_that_says_where_to_go(app, client_as, kind, status, advice, is_signed_in):
    browser = client_as(Role.READ_ONLY) if is_signed_in else app.test_client()
    answer = browser.get(f"/trial/raise/{kind}")
    assert answer.status_code == status
    assert advice in answer.text
    assert ("Account:" in answer.text) == is_signed_in


@pytest.mark.parametrize(("kind", "status", "advice"), ERRORS)
def test_under_htmx_an_error_is_a_toast_so_that_what_was_entered_stays(client_as, kind, status, advice):
    answer = client_as(Role.READ_ONLY).htmx(f"/trial/raise/{kind}", "people_table")
    assert answer.status_code == status
    assert (answer.headers["HX-Retarget"], answer.headers["HX-Reswap"]) == ("#toasts", "beforeend")
    assert answer.text.startswith('<div class="rc-toast rc-toast-bad" role="alert"')
    assert advice in answer.text


def test_waiting_says_when_to_look_again(client_as):
    browser = client_as(Role.READ_ONLY)
    assert browser.get("/trial/raise/later").headers["Retry-After"] == "7"
    assert browser.get("/trial/raise/slow-down").headers["Retry-After"] == "60"


def test_a_wrong_method_names_the_right_ones(client_as):
    assert "POST" in client_as(Role.READ_ONLY).get("/trial/act/events").headers["Allow"]


def test_a_crash_tells_nothing_of_the_inside_but_the_log_does(client_as, caplog):
    with caplog.at_level(logging.ERROR):
        answer = client_as(Role.READ_ONLY).get("/trial/raise/crash")
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "secret detail" in caplog.text


def test_a_crash_without_a_database_still_is_a_page(app, client_as, caplog):
    browser = client_as(Role.READ_ONLY)
    with app.app_context():
        engine = db.engine

    def refuse(*_):
        raise RuntimeError("no database")

    event.listen(engine, "before_cursor_execute", refuse)
    with caplog.at_level(logging.ERROR):
        answer = browser.get("/trial/two-faces")
    event.remove(engine, "before_cursor_execute", refuse)
    assert answer.status_code == 500
    check_page(answer.text)
    assert "Nothing was changed" in answer.text


def test_a_form_whose_session_ended_says_so_and_loses_nothing(client_as):
    browser = client_as(Role.READ_ONLY)
    plain = browser.post("/trial/act/events")
    assert plain.status_code == 400
    assert "go back in this one" in plain.text
    partial = browser.post("/trial/act/events", headers=HTMX)
    assert partial.status_code == 400
    assert responses.SESSION_ENDED in partial.text
    assert 'target="_blank"' in partial.text


def test_signed_out_one_signs_in_and_comes_back(app):
    answer = app.test_client().get("/trial/private?a=1")
    assert (answer.status_code, answer.location) == (303, "/login?next=%2Ftrial%2Fprivate%3Fa%3D1")


def test_signed_out_under_htmx_one_comes_back_to_the_page_not_the_fragment(app):
    page = {"HX-Current-URL": "http://localhost/organizations?page=2"}
    answer = app.test_client().get("/trial/private", headers=HTMX | page)
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/login?next=%2Forganizations%3Fpage%3D2"


def test_signed_out_a_clock_does_not_tear_anybody_from_a_form(app):
    answer = app.test_client().get("/trial/private", headers=HTMX | {responses.POLL_HEADER: "1"})
    assert answer.status_code == 401
    assert "HX-Redirect" not in answer.headers


def test_signed_out_a_form_post_is_not_taken_for_saved(app, client_as):
    browser = client_as(Role.READ_ONLY)
    with browser.session_transaction() as session:
        session["_user_id"] = "ended"
    plain = browser.send("/trial/act/events")
    assert plain.status_code == 401
    assert "<title>Not saved: your session has ended" in plain.text
    assert 'class="btn" href="/"' not in plain.text  # in this tab, what was entered would be lost
    partial = browser.htmx("/trial/act/events", method="POST")
    assert partial.status_code == 401
    assert "HX-Redirect" not in partial.headers
    assert responses.SESSION_ENDED in partial.text


def test_a_role_that_is_too_low_is_told_what_to_do(client_as):
    answer = client_as(Role.TECHNICIAN).get("/trial/private")
    assert answer.status_code == 403
    assert "Your role is Technician." in answer.text
    assert "send them the address of this page" in answer.text


@pytest.mark.parametrize(
    ("target", "safe"),
    [
        ("/organizations?page=2", "/organizations?page=2"),
        (None, "/"),
        ("", "/"),
        ("https://evil.example", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/x\\y", "/"),
        ("/\t/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("organizations", "/"),
        ("/x\r\nSet-Cookie: a", "/"),
    ],
)
def test_nobody_is_sent_elsewhere(target, safe):
    assert responses.safe_next(target) == safe


def test_pages_are_guarded_and_not_kept(client_as):
    headers = client_as(Role.READ_ONLY).get("/trial/two-faces").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert "Strict-Transport-Security" not in headers


def test_https_is_kept_to(client_as):
    answer = client_as(Role.READ_ONLY).get("/trial/two-faces", base_url="https://localhost")
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")


def test_files_change_their_address_with_their_content_and_are_kept_for_good(app):
    with app.test_request_context():
        own, built = static.asset_url("portal.css"), static.asset_url("htmx.min.js")
        plain = url_for("static", filename="portal.css")
    browser = app.test_client()
    for address in (own, built):
        with browser.get(address) as answer:
            assert answer.status_code == 200
            assert "immutable" in answer.headers["Cache-Control"]
    with browser.get(plain) as answer:
        assert "immutable" not in answer.headers.get("Cache-Control", "")


def test_a_missing_icon_says_how_to_get_it(app):
    with app.app_context(), pytest.raises(RuntimeError, match=r"icons\.list"):
        static.icon("no-such-icon")


def test_every_icon_of_the_list_is_built_and_drawn_without_attributes_of_its_own(app):
    with app.app_context():
        names = Path(app.static_folder, "icons.list").read_text(encoding="utf-8").splitlines()
        for name in (line for line in names if line and not line.startswith("#")):
            drawn = str(static.icon(name))
            assert drawn.startswith('<svg class="icon" aria-hidden="true"')
            assert " width=" not in drawn.partition(">")[0]


@pytest.mark.parametrize(
    ("hint", "shown"), [('"dark"', "dark"), ('"light"', "light"), ("nonsense", "light"), (None, "light")]
)
def test_match_system_takes_the_browsers_hint(client_as, hint, shown):
    headers = {"Sec-CH-Prefers-Color-Scheme": hint} if hint else {}
    page = client_as(Role.READ_ONLY).get("/trial/two-faces", headers=headers).text
    assert f'data-bs-theme="{shown}" data-theme-choice="system"' in page


@pytest.mark.parametrize("name", ["portal.js", "lists.js"])
def test_the_scripts_stay_small(app, name):
    assert len(Path(app.static_folder, name).read_text(encoding="utf-8").splitlines()) < 140
