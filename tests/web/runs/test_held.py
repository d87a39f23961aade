"""G1: who is held back, each with a box, who may decide, and what a form that is wrong decides."""

import re

import pytest

from portal.extensions import db
from portal.models import Role, SyncRun
from tests.web.runs.held import form_of, selected, state_of


def test_G1_each_held_person_has_a_box_and_the_changes_that_go_with_it(client_as, hold):
    browser = client_as()
    text = browser.get(f"/sync-runs/{hold}").text
    assert len(form_of(text)["seen"]) == 25 and selected(text) == 0
    row = text.partition(">Leaver 03</bdi>")[2].partition("</tr>")[0]
    assert "leaver03@harborview.example" in row and "Mark disabled" in row
    assert re.search(
        r"Department:</span>\s*<del class=\"rc-old\"><bdi>IT</bdi></del>.*<bdi>Sales</bdi>", row, re.DOTALL
    )
    second = browser.get(f"/sync-runs/{hold}/held?page=2").text
    assert "Its " in second and "new0@harborview.example" in second and "Leaver 29" in second


def test_G1_a_selection_survives_searches_pages_and_both_ways_of_selecting_all(client_as, hold):
    browser, address = client_as(), f"/sync-runs/{hold}/held"
    fields = form_of(browser.get(f"/sync-runs/{hold}").text)
    first, other = fields["seen"][:2]
    text = browser.send(address, {**fields, "id": [first], "page": "2"}).text
    assert selected(text) == 1 and "1 selected and not shown here" in text
    fields = form_of(text)
    text = browser.send(address, {**fields, "id": fields["seen"][:1], "q": "new", "look": "1"}).text
    assert (selected(text), len(form_of(text)["seen"])) == (2, 3)
    text = browser.send(address, {**form_of(text), "select": "fitting"}).text
    assert selected(text) == 5 and len(form_of(text)["id"]) == 3
    text = browser.send(address, {**form_of(text), "q": "", "look": "1"}).text
    assert form_of(text)["id"] == [first]
    text = browser.send(address, {**form_of(text), "select": "fitting"}).text
    assert selected(text) == 33 and form_of(text)["everybody"] == "1"
    fields = form_of(text)
    fields["id"].remove(other)
    text = browser.send(address, {**fields, "page": "2"}).text
    assert selected(text) == 32 and form_of(text)["others"] == other
    text = browser.send(address, {**form_of(text), "select": "none"}).text
    assert selected(text) == 0 and "2</button>" not in text.partition('aria-current="page"')[0]


def test_G1_htmx_gets_the_card_alone(client_as, hold):
    browser = client_as()
    fields = form_of(browser.get(f"/sync-runs/{hold}").text)
    text = browser.htmx(f"/sync-runs/{hold}/held", "hold", {**fields, "select": "fitting"}, "POST").text
    assert (
        text.strip().startswith("<section")
        and 'id="hold"' in text
        and "<html" not in text
        and selected(text) == 33
    )
    answer = browser.htmx(
        f"/sync-runs/{hold}/held/confirm", "dialog", {**form_of(text), "decide": "apply"}, "POST"
    )
    assert "Apply to 33 people?" in answer.text and "<html" not in answer.text
    nobody = browser.htmx(f"/sync-runs/{hold}/held/confirm", "dialog", {**fields, "decide": "apply"}, "POST")
    assert (nobody.status_code, nobody.headers["HX-Retarget"]) == (
        422,
        "#toasts",
    ) and "Check at least one" in nobody.text


@pytest.mark.parametrize(
    ("path", "form", "words"),
    [
        ("held/apply", {}, "Check at least one person first."),
        ("held/dismiss", {"everybody": "", "count": "0"}, "Check at least one person first."),
        (
            "held/apply",
            {"everybody": "", "others": "nobody-here", "count": "1"},
            "Check at least one person first.",
        ),
        (
            "held/apply",
            {"everybody": "1", "count": "34"},
            "Someone else has decided about some of these people.",
        ),
        (
            "held/dismiss",
            {"everybody": "1", "count": "x"},
            "Someone else has decided about some of these people.",
        ),
        ("held/confirm", {"everybody": "", "decide": "apply"}, "Check at least one person first."),
        ("held/confirm", {"everybody": "1", "decide": "destroy"}, "own buttons"),
        ("held", {}, "Check at least one person first."),
    ],
)
def test_G1_a_form_that_names_nobody_or_others_than_confirmed_decides_nothing(
    client_as, app, hold, path, form, words
):
    answer = client_as().send(f"/sync-runs/{hold}/{path}", form)
    assert answer.status_code == 422 and words in answer.text
    assert state_of(app, hold)[1] == {"kind": "disable", "count": 33, "state": "waiting"}


@pytest.mark.parametrize("role", [Role.TECHNICIAN, Role.READ_ONLY])
def test_G1_who_may_not_decide_sees_who_waits_and_is_told_who_may(client_as, hold, role):
    browser, address = client_as(role), f"/sync-runs/{hold}"
    for text in (browser.get(address).text, browser.get(f"{address}/held?q=leaver&page=2").text):
        assert "Only administrators may decide" in text and "an administrator’s decision" in text
        card = text.partition('id="hold"')[2].partition("</section>")[0]
        assert (
            "checkbox" not in card
            and "Apply" not in card.replace("Already applied", "").partition("<form")[2]
        )
    assert "Leaver 29" in text and "?q=leaver&amp;page=1#hold" in text
    for path in ("held", "held/confirm", "held/apply", "held/dismiss", "held/both"):
        assert browser.send(f"{address}/{path}", {"everybody": "1", "count": "33"}).status_code == 403


def test_G1_the_held_page_of_a_run_without_a_hold_says_so(client_as, app, hold):
    with app.app_context():
        db.session.get_one(SyncRun, hold).held = None
        db.session.commit()
    assert "Nobody was held back" in client_as().get(f"/sync-runs/{hold}/held").text
