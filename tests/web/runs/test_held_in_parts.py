"""G1: some of a hold are applied and others dismissed, by name, on the run's page."""

import pytest

from portal.extensions import db
from portal.holds import service as held
from portal.models import AuditEvent, DirectoryUser, EndUser, SyncRun
from tests.web.runs.held import form_of, state_of


def test_G1_some_are_applied_others_dismissed_and_the_last_part_ends_the_hold(client_as, app, hold):
    """Over 50 lines: one hold, part by part; the sums of each part go on from the one before it."""
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
    assert "Applied to 2 people. Dismissed for 31 people. The sync continues." in browser.get(address).text
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
    assert "33 people were held back; a later run decided again about the 32 who still waited." in text
    assert "Applied to 1 person. Last decided by" in text and "None of it was applied" not in text
    with app.app_context():
        run = db.session.get_one(SyncRun, hold)
        run.status, run.held = "held", before
        db.session.commit()
    assert browser.send(f"/organizations/{organization}/user-sync/disable").status_code == 303
    text = browser.get(address).text
    assert "Applied to 1 person. administrator@rollcall.example disabled the User Sync" in text
    assert "32 others were not applied." in text and "None of it was applied" not in text


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
