"""G1: what a hold says of both outcomes, who decides, and what became of it."""

import re

from portal.engine.records import SECTIONS
from portal.extensions import db
from portal.models import Change, Role, SyncRun, UserSync
from tests.web.runs.rows import change_of

ALL_TWO = {"everybody": "1", "count": "2"}


def test_G1_the_paused_page_says_both_outcomes_and_only_administrators_decide(client_as, app, customer):
    address = f"/sync-runs/{customer['run']}"
    text = client_as().get(address).get_data(as_text=True)
    for sentence in (
        "Already applied",
        "If you apply",
        "If you dismiss",
        "Apply all 2…",
        "Dismiss all 2…",
    ):
        assert sentence in text
    technician = client_as(Role.TECHNICIAN)
    assert technician.send(address + "/held/apply").status_code == 403
    assert technician.send(address + "/held/dismiss").status_code == 403


def test_G1_dismissing_lets_the_sync_go_on(client_as, app, customer):
    browser = client_as()
    answer = browser.send(f"/sync-runs/{customer['run']}/held/dismiss", ALL_TWO)
    assert answer.status_code == 303
    with app.app_context():
        run = db.session.get(SyncRun, customer["run"])
        assert (run.status, run.held["state"]) == ("succeeded", "dismissed")
        assert db.session.scalar(db.select(UserSync)).hold_run_id is None
    page = browser.get(f"/sync-runs/{customer['run']}").text
    assert "Dismissed by administrator@rollcall.example, " in page and "rc-guard-warn" not in page
    again = browser.send(f"/sync-runs/{customer['run']}/held/dismiss", ALL_TWO)
    assert again.status_code == 409 and "Nothing in this run is held back" in again.get_data(as_text=True)


def test_G1_an_applied_hold_is_told_as_done_by_whom_and_when_and_not_as_a_warning(client_as, app, customer):
    address, browser = f"/sync-runs/{customer['run']}", client_as()
    with app.app_context():
        sync = db.session.scalars(db.select(UserSync)).one()
        sync.filters = {name: {"all": True, "values": []} for name in SECTIONS}
        db.session.commit()
    assert browser.send(f"{address}/held/apply", ALL_TWO).status_code == 303
    with app.app_context():
        run = db.session.get(SyncRun, customer["run"])
        assert (run.status, run.held["left_out"], run.warnings) == ("succeeded", 2, [])
        run.held = {**run.held, "state": "applied", "applied": 1, "left_out": 1}
        db.session.commit()
    hold = browser.get(address).text.partition('id="hold"')[2].partition("</section>")[0]
    assert "alert-success" in hold and "alert-warning" not in hold and "that was applied in part" in hold
    assert (
        "Applied to 1 person." in hold
        and "Last decided by administrator@rollcall.example, <time datetime=" in hold
    )
    assert "1 person had changed since, here or in Microsoft, and was left out." in hold


def test_G1_L5_a_hold_that_went_with_its_sync_says_who_disabled_it(client_as, customer):
    browser = client_as(Role.TECHNICIAN)
    assert browser.send(f"/organizations/{customer['organization']}/user-sync/disable").status_code == 303
    page = browser.get(f"/sync-runs/{customer['run']}").text
    assert "technician@rollcall.example disabled the User Sync, <time datetime=" in page
    assert "Dismissed by" not in page and "None of it was applied." in page


def test_G1_a_hold_that_a_later_run_replaced_is_not_said_to_be_dismissed(client_as, app, customer):
    """Nobody dismissed it; the page leads to the run that decided anew, as long as that is kept."""
    address, browser = f"/sync-runs/{customer['run']}", client_as()
    for later in (customer["run"], "forgotten"):
        with app.app_context():
            run = db.session.get(SyncRun, customer["run"])
            run.status, run.held = "succeeded", {**run.held, "state": "dismissed", "replaced_by": later}
            db.session.commit()
        text = browser.get(address).get_data(as_text=True)
        assert "a later run decided again" in text and "that was dismissed" not in text
        assert ("See that run" in text) is (later != "forgotten")


def test_G1_a_hold_of_both_kinds_tells_the_marks_from_the_new_people(client_as, app, customer):
    with app.app_context():
        run = db.session.get_one(SyncRun, customer["run"])
        run.held = {**run.held, "count": 5}
        for number in range(3):
            change_of(
                run, f"New {number}", "create", reason="new_in_scope", state="held", hold_key=f"n{number}"
            )
        db.session.commit()
    page = client_as().get(f"/sync-runs/{customer['run']}").text
    words = " ".join(re.sub("<[^>]*>", "", page.partition('id="hold"')[2].partition("</section>")[0]).split())
    assert "2 of 1 linked people would be marked Disabled in Microsoft, and 3 new End Users added." in words
    assert (
        "2 End Users get the mark Disabled in Microsoft, and the changes that wait with it. None is deleted. 3 End Users are created."
        in words
    )
    assert "The 2 keep their present status and details and nobody is added." in words
    assert "Apply all 5…" in words and "Dismiss all 5…" in words


def test_G1_a_hold_that_waits_says_what_to_do_in_its_own_card(client_as, customer):
    text = client_as().get(f"/sync-runs/{customer['run']}").get_data(as_text=True)
    assert "Waiting for your decision" in text and "What next:" not in text


def test_G1_G8_people_held_beside_the_sums_are_not_counted_as_nobody_held(client_as, app, customer):
    address = f"/sync-runs/{customer['run']}"
    browser = client_as()
    assert "beside these sums" not in browser.get(address).get_data(as_text=True)
    with app.app_context():
        run = db.session.get(SyncRun, customer["run"])
        run.counts = {
            **run.counts,
            "held": 0,
            "in_scope": run.counts["in_scope"] - 2,
            "read": run.counts["read"] - 2,
        }
        db.session.commit()
    text = browser.get(address).get_data(as_text=True)
    assert f'href="{address}?state=held#people">2 held</a>, beside these sums' in text
    zeros = text.partition("<li>0 ")[2].partition("</li>")[0]
    assert zeros and "held" not in zeros
    with app.app_context():
        run = db.session.get(SyncRun, customer["run"])
        db.session.query(Change).filter_by(run_id=run.id, state="held").update({"state": "applied"})
        run.counts = {**run.counts, "gone": 2}
        db.session.commit()
    text = browser.get(address).get_data(as_text=True)
    assert "2 gone from Microsoft</a>, beside these sums" in text
    assert "marked disabled" not in text.partition("<li>0 ")[2].partition("</li>")[0]
