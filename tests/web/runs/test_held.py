"""G1: some of a hold are applied and others dismissed, by name, on the run's page."""

import re
from html import unescape

import pytest

from portal.extensions import db
from portal.holds import service as held
from portal.models import AuditEvent, DirectoryUser, EndUser, Role, SyncRun, UserSync
from tests.web import customers, holds


@pytest.fixture
def hold(app):
    """A run that holds 30 leavers, who moved to another department, and three new people: its id."""
    with app.app_context():
        microsoft = customers.microsoft_tenant()
        run = holds.held_run(
            customers.organization("Harborview Imaging", microsoft), microsoft, leavers=30, new=3
        )
        db.session.commit()
        return run.id


def form_of(text):
    """What the hold's form would post: its hidden fields and checked boxes."""
    form = text.partition('id="hold"')[2].partition("<form")[2].partition("</form>")[0]
    fields = {"seen": [], "id": []}
    for tag in re.findall(r"<input [^>]*>", form):
        found = {name: unescape(value) for name, value in re.findall(r'([a-z-]+)="([^"]*)"', tag)}
        name, is_box = found.get("name"), found.get("type") == "checkbox"
        if name in ("seen", "id"):
            if not is_box or re.search(r" checked\b", tag):
                fields[name].append(found["value"])
        elif name and name != "csrf_token":
            fields[name] = found.get("value", "")
    return fields


def selected(text):
    return int(re.search(r"data-selected>(\d+) selected", text).group(1))


def state_of(app, run_id):
    with app.app_context():
        run = db.session.get_one(SyncRun, run_id)
        disabled = db.session.query(EndUser).filter_by(microsoft_status="disabled").count()
        sync = db.session.query(UserSync).one()
        assert holds.adds_up(run.counts)
        return run.status, run.held, run.counts, disabled, sync.hold_run_id


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


def test_G1_some_are_applied_others_dismissed_and_the_last_part_ends_the_hold(client_as, app, hold):
    browser, address = client_as(), f"/sync-runs/{hold}"
    fields = form_of(browser.get(address).text)
    text = browser.send(
        f"{address}/held/confirm", {**fields, "id": fields["seen"][:2], "decide": "apply"}
    ).text
    assert "2 End Users get the mark" in text and "31 others still wait, and the sync stays Paused." in text
    assert "Leaver 00" in text and "Leaver 02" not in text
    chosen = {"everybody": "", "others": " ".join(fields["seen"][:2]), "count": "2"}
    answer = browser.send(f"{address}/held/apply", chosen)
    assert (answer.status_code, answer.location) == (303, f"{address}#hold")
    status, held, counts, disabled, paused_by = state_of(app, hold)
    assert (status, held["count"], held["applied"], disabled, paused_by) == ("held", 31, 2, 2, hold)
    assert (counts["disabled"], counts["held"]) == (2, 31)
    with app.app_context():
        assert {
            row.department for row in db.session.query(EndUser).filter_by(microsoft_status="disabled")
        } == {"Sales"}
    page = browser.get(address).text
    assert "Applied to 2 people. 31 people still wait." in page
    assert (
        "31 of 33 people held back still wait. Waiting for your decision." in page
        and "more than the" not in page
    )

    fields = form_of(browser.get(f"{address}/held?q=new").text)
    text = browser.send(
        f"{address}/held/confirm", {**fields, "id": fields["seen"][:1], "decide": "dismiss"}
    ).text
    assert (
        "1 person is not added." in text
        and "stay" not in text.partition("not held again")[0].partition("is not added")[0][-40:]
    )
    browser.send(f"{address}/held/dismiss", {"everybody": "", "others": fields["seen"][0], "count": "1"})
    status, held, counts, *_ = state_of(app, hold)
    assert (status, held["count"], held["dismissed"], counts["skipped"], counts["held"]) == (
        "held",
        30,
        1,
        1,
        30,
    )

    fields = form_of(browser.get(address).text)
    text = browser.send(f"{address}/held/confirm", {**fields, "decide": "apply-all"}).text
    assert "Apply to 30 people?" in text and "the sync returns to Enabled" in text
    browser.send(f"{address}/held/apply", {"everybody": "1", "others": "", "count": "30"})
    status, held, counts, disabled, paused_by = state_of(app, hold)
    assert (status, held["state"], held["count"], disabled, paused_by) == (
        "succeeded",
        "applied",
        33,
        30,
        None,
    )
    assert (counts["disabled"], counts["created"], counts["held"], counts["unchanged"]) == (30, 2, 0, 0)
    text = browser.get(address).text
    assert "33 people were held back; that was applied in part." in text
    assert "Applied to 32 people, dismissed for 1. Last decided by administrator@rollcall.example" in text
    with app.app_context():
        events = (
            db.session.query(AuditEvent).filter(AuditEvent.action.startswith("hold_")).order_by(AuditEvent.at)
        )
        assert [(e.action, e.detail["count"]) for e in events] == [
            ("hold_applied", 2),
            ("hold_dismissed", 1),
            ("hold_applied", 30),
        ]
    assert browser.send(f"{address}/held/apply", {"everybody": "1", "count": "30"}).status_code == 409


def test_G1_some_are_applied_and_all_others_dismissed_in_one_go(client_as, app, hold):
    browser, address = client_as(), f"/sync-runs/{hold}"
    fields = form_of(browser.get(address).text)
    text = browser.send(
        f"{address}/held/confirm", {**fields, "id": fields["seen"][:2], "decide": "both"}
    ).text
    assert (
        "Apply to 2, dismiss 31?" in text
        and "2 End Users get the mark" in text
        and "31 others are dismissed" in text
    )
    applied, dismissed = text.partition('aria-label="To be applied"')[2].split('aria-label="To be dismissed"')
    assert (
        "Leaver 01" in applied
        and "Leaver 02" not in applied
        and "Leaver 02" in dismissed
        and "New 0" in dismissed
    )
    chosen = {"everybody": "", "others": " ".join(fields["seen"][:2]), "count": "2"}
    assert browser.send(f"{address}/held/both", {**chosen, "count": "3"}).status_code == 422
    assert state_of(app, hold)[0] == "held"
    assert browser.send(f"{address}/held/both", chosen).status_code == 303
    status, held, counts, disabled, paused_by = state_of(app, hold)
    assert (status, held["applied"], held["dismissed"], disabled, paused_by) == ("succeeded", 2, 31, 2, None)
    assert (counts["disabled"], counts["skipped"], counts["held"]) == (2, 3, 0)
    assert "Applied to 2 people. Dismissed for 31 people. The sync goes on." in browser.get(address).text
    with app.app_context():
        events = (
            db.session.query(AuditEvent)
            .filter(AuditEvent.action.startswith("hold_"))
            .order_by(AuditEvent.number)
        )
        assert [(e.action, e.detail["count"]) for e in events] == [
            ("hold_applied", 2),
            ("hold_dismissed", 31),
        ]


def test_G1_dismissing_all_that_are_left_leaves_them_as_they_are(client_as, app, hold):
    browser, address = client_as(), f"/sync-runs/{hold}"
    browser.send(f"{address}/held/dismiss", {"everybody": "1", "others": "", "count": "33"})
    status, held, counts, disabled, _ = state_of(app, hold)
    assert (status, held["state"], disabled, counts["skipped"], counts["unchanged"]) == (
        "succeeded",
        "dismissed",
        0,
        3,
        30,
    )
    with app.app_context():
        assert {row.department for row in db.session.query(EndUser)} == {"IT"}
    assert "33 people were held back; that was dismissed." in browser.get(address).text


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
            "Somebody decided about some of these people meanwhile.",
        ),
        (
            "held/dismiss",
            {"everybody": "1", "count": "x"},
            "Somebody decided about some of these people meanwhile.",
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


def test_G1_who_changed_meanwhile_is_left_out_and_told(client_as, app, hold):
    browser, address = client_as(), f"/sync-runs/{hold}"
    with app.app_context():
        user = db.session.query(DirectoryUser).filter_by(display_name="Leaver 00").one()
        db.session.delete(db.session.query(EndUser).filter_by(object_id=user.object_id).one())
        db.session.commit()
        one = user.object_id
    browser.send(f"{address}/held/apply", {"everybody": "", "others": one, "count": "1"})
    status, held, counts, *_ = state_of(app, hold)
    assert (status, held["count"], held["left_out"], counts["held"]) == ("held", 32, 1, 32)
    text = browser.get(address).text
    assert "Applied to 0 people. 1 had changed since and was left out. 32 people still wait." in text


def test_G1_L5_a_hold_decided_in_part_says_so_when_its_sync_is_disabled_or_a_later_run_comes(
    client_as, app, hold
):
    browser, address = client_as(), f"/sync-runs/{hold}"
    fields = form_of(browser.get(address).text)
    browser.send(f"{address}/held/apply", {"everybody": "", "others": fields["seen"][0], "count": "1"})
    with app.app_context():
        run = db.session.get_one(SyncRun, hold)
        organization = run.organization_id
        before = run.held
        run.status, run.held = "succeeded", {**before, "state": "dismissed", "replaced_by": hold}
        db.session.commit()
    text = browser.get(address).text
    assert "33 people were held back; a later run decided anew about the 32 who still waited." in text
    assert "Applied to 1 person. Last decided by" in text and "Nothing of it was applied" not in text
    with app.app_context():
        run = db.session.get_one(SyncRun, hold)
        run.status, run.held = "held", before
        db.session.commit()
    assert browser.send(f"/organizations/{organization}/user-sync/disable").status_code == 303
    text = browser.get(address).text
    assert "Applied to 1 person. administrator@rollcall.example disabled the User Sync" in text
    assert "32 others were not applied." in text and "Nothing of it was applied" not in text


@pytest.mark.parametrize("word", ["apply", "dismiss"])
def test_G1_somebody_decided_about_by_another_in_this_moment_is_asked_about_anew(
    client_as, app, hold, monkeypatch, word
):
    browser, address = client_as(), f"/sync-runs/{hold}"
    first, second = form_of(browser.get(address).text)["seen"][:2]
    real = held.chosen

    def in_between(run, selection):
        found = real(run, selection)
        monkeypatch.setattr(held, "chosen", real)
        held.dismiss(run, [first])
        db.session.commit()
        return found

    monkeypatch.setattr(held, "chosen", in_between)
    answer = browser.send(
        f"{address}/held/{word}", {"everybody": "", "others": f"{first} {second}", "count": "2"}
    )
    assert answer.status_code == 422 and held.CHANGED in answer.text and "1 person?" in answer.text
    assert (state_of(app, hold)[1]["count"], state_of(app, hold)[3]) == (32, 0)


def test_G1_the_held_page_of_a_run_without_a_hold_says_so(client_as, app, hold):
    with app.app_context():
        db.session.get_one(SyncRun, hold).held = None
        db.session.commit()
    assert "Nobody was held back" in client_as().get(f"/sync-runs/{hold}/held").text
