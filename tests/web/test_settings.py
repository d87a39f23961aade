"""P10, O4: settings ask before something goes for good, and tell the audit log in words."""

import re

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from portal import audit, create_app
from portal.clock import utcnow
from portal.config import Settings
from portal.errors import Refused
from portal.extensions import db, mark_write
from portal.models import Account, ApiToken, AuditEvent, Base
from portal.settings import people


def lines(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True)))


def test_P10_removing_an_account_asks_first_and_says_who(app, client_as):
    client_as("technician")
    owner = client_as("administrator")
    with app.app_context():
        theirs = db.session.query(Account).filter_by(email="technician@rollcall.example").one().id
        mine = db.session.query(Account).filter_by(email="administrator@rollcall.example").one().id
    people = owner.get("/settings/people").get_data(as_text=True)
    assert f'href="/settings/people/{theirs}"' in people and 'value="remove"' not in people
    asked = owner.get(f"/settings/people/{theirs}")
    assert "Remove technician@rollcall.example?" in asked.text and "They are signed out" in asked.text
    assert "You are signed out" in owner.get(f"/settings/people/{mine}").text
    assert "<html" not in owner.htmx(f"/settings/people/{theirs}", "dialog").text
    form = dict(re.findall(r'<input type="hidden" name="(do)" value="([^"]+)"', asked.text))
    answer = owner.send(f"/settings/people/{theirs}", form, follow_redirects=True)
    assert "technician@rollcall.example is removed." in answer.text


def test_P10_settings_begin_with_the_first_section_one_may_see(client_as):
    assert client_as("administrator").get("/settings").location == "/settings/microsoft"
    assert client_as("technician").get("/settings").location == "/settings/about"


def test_P10_nobody_is_offered_to_switch_off_the_account_they_use(app, client_as):
    client_as("technician")
    page = client_as("administrator").get("/settings/people").text
    (mine,) = re.findall(
        r'<tr role="row"><th [^>]*><bdi>[^<]*</bdi><span class="rc-sub">administrator@.*?</tr>', page
    )
    (theirs,) = re.findall(
        r'<tr role="row"><th [^>]*><bdi>[^<]*</bdi><span class="rc-sub">technician@.*?</tr>', page
    )
    assert "Deactivate" in theirs and "you" not in theirs
    assert "Deactivate" not in mine and "· you" in mine


def _id_of(app, role):
    with app.app_context():
        return db.session.query(Account).filter_by(email=f"{role}@rollcall.example").one().id


def test_P10_the_last_administrator_is_refused_before_anything_is_asked(app, client_as):
    client_as("technician")
    owner = client_as("administrator")
    mine = f"/settings/people/{_id_of(app, 'administrator')}"
    for asked in ({"do": "role", "role": "technician"}, {"do": "off"}, {"do": "remove"}):
        for form in (asked, asked | {"sure": "yes"}):
            answer = owner.send(mine, form)
            assert answer.status_code == 409 and "is the last active administrator" in answer.text, form
    assert owner.get("/settings/people").status_code == 200


@pytest.mark.parametrize(
    ("form", "question", "words"),
    [
        (
            {"do": "role", "role": "technician"},
            "Give up your role Administrator?",
            "give the role back: other@rollcall.example.",
        ),
        ({"do": "off"}, "Deactivate your own account?", "activate it again: other@rollcall.example."),
    ],
)
def test_P10_who_takes_something_from_themselves_is_asked_first(app, client_as, form, question, words):
    with app.app_context():
        mark_write(db.session())
        db.session.add(
            Account(email="other@rollcall.example", name="O", role="administrator", created_at=utcnow())
        )
        db.session.commit()
    owner = client_as("administrator")
    mine = f"/settings/people/{_id_of(app, 'administrator')}"
    page = owner.get("/settings/people").text
    assert page.count(f'hx-post="{mine}"') == page.count("hx-post=") == 1  # with script, in a dialog
    in_dialog = owner.htmx(mine, "dialog", form, method="POST").text
    assert question in in_dialog and "<html" not in in_dialog
    asked = owner.send(mine, form)
    assert asked.status_code == 200 and question in asked.text and words in asked.text
    with app.app_context():
        row = db.session.get(Account, mine.rpartition("/")[2])
        assert row.role == "administrator" and row.is_active
    sure = dict(re.findall(r'<input type="hidden" name="(do|role|sure)" value="([^"]*)"', asked.text))
    answer = owner.send(mine, sure, follow_redirects=True)
    assert answer.status_code == 200 and answer.request.path in ("/settings/about", "/login")
    with app.app_context():
        row = db.session.get(Account, mine.rpartition("/")[2])
        assert (row.role, row.is_active) == (
            ("technician", True) if form["do"] == "role" else ("administrator", False)
        )


@pytest.mark.postgres
def test_P10_of_two_administrators_who_step_down_at_once_one_stays(postgres_url, tmp_path):
    app = create_app(
        Settings(data_dir=tmp_path, secret_key="k" * 40, scheduler="off", database_url=postgres_url)
    )
    with app.app_context():
        Base.metadata.create_all(db.engine)
        rows = [
            Account(email=f"{n}@rollcall.example", role="administrator", created_at=utcnow()) for n in "ab"
        ]
        db.session.add_all(rows)
        db.session.commit()
        mine, theirs = (row.id for row in rows)
        people.change_role(rows[0], "technician")
        with app.app_context():
            db.session.execute(text("SET LOCAL lock_timeout = '20ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):  # it waits for the other
                people.change_role(db.session.get(Account, theirs), "technician")
        db.session.commit()
        with app.app_context(), pytest.raises(Refused):
            people.change_role(db.session.get(Account, theirs), "technician")
        assert db.session.get(Account, mine).role == "technician"
        db.session.remove()
        db.engine.dispose()


def test_P10_nothing_is_asked_when_nothing_is_lost(app, client_as):
    client_as("technician")
    owner = client_as("administrator")
    for role, wanted in (("administrator", "administrator"), ("technician", "read-only")):
        answer = owner.send(f"/settings/people/{_id_of(app, role)}", {"do": "role", "role": wanted})
        assert answer.status_code == 303 and answer.location == "/settings/people"


def test_P10_C1_names_of_permissions_break_at_their_dots_only(client_as):
    page = client_as("administrator").get("/settings/microsoft").text
    assert '<span class="rc-mono rc-whole">DeviceManagementManagedDevices.<wbr>Read.<wbr>All</span>' in page


def test_C1_a_secret_that_was_refused_with_something_else_is_asked_for_again(client_as):
    """It is not sent back: saved without it, the stored one would stay without a word."""
    owner = client_as("administrator")
    form = {
        "client_id": "1b4e28ba-2fa1-4d2b-883f-0016d3cca427",
        "secret": "new~secret",
        "expires_on": "31.12.2026",
    }
    for refused in (
        form,
        form | {"client_id": "my app", "expires_on": ""},
        form | {"client_id": "", "expires_on": ""},
    ):
        answer = owner.send("/settings/microsoft?cloud=china", refused)
        assert (
            answer.status_code == 422
            and "Enter the secret again" in answer.text
            and "new~secret" not in answer.text
        )
    assert "Enter the secret again" not in owner.get("/settings/microsoft?cloud=china").text
    assert re.search('<input[^>]*name="expires_on"[^>]*type="date"', owner.get("/settings/microsoft").text)


def test_P10_revoking_a_token_asks_first(app, client_as):
    owner = client_as("administrator")
    made = owner.send("/settings/tokens", {"name": "For the PSA", "role": "read-only"}).get_data(as_text=True)
    assert 'value="For the PSA"' not in made  # pressed once more, it would make a second one
    (address,) = re.findall(r'href="(/settings/tokens/[^"]+/revoke)"', made)
    assert "Revoke the token For the PSA?" in owner.get(address).text
    with app.app_context():
        assert db.session.query(ApiToken).one().revoked_at is None
    assert "For the PSA is revoked." in owner.send(address, follow_redirects=True).text
    with app.app_context():
        assert db.session.query(ApiToken).one().revoked_at is not None


def test_O4_the_audit_log_is_told_in_words(app, client_as):
    with app.app_context():
        mark_write(db.session())
        counts = {"read": 400, "in_scope": 384, "conflicts": 2}
        detail = {"organization": "Fabrikam Joinery", "status": "succeeded", "counts": counts}
        for action, source, told in (
            ("sync_run_finished", "sync", detail),
            ("end_user_created", "cli", {"name": "Ada"}),
            ("totp_changed", "page", {"enabled": False}),
            ("microsoft_settings_changed", "page", {"changes": ["client_id", "secret"]}),
        ):
            with audit.acting_as(audit.Actor("Rollcall", source)):
                audit.record(db.session(), action, **told)
        db.session.commit()
    page = lines(client_as("administrator").get("/settings/audit"))
    assert "Counts: 400 read, 384 in scope, 2 in conflict" in page and "{" not in page
    assert "End User created" in page and "Command line" in page
    assert "Authenticator changed Enabled: no" in page
    assert "Changes: client id, secret" in page


TARGETS = "/settings/notifications"
ADD = f"{TARGETS}/add/other"
EVENTS = ["connection", "hold"]


def stored(page):
    return re.findall(r'name="target" value="([^"]+)"', page.text)


def test_O2_targets_are_added_and_removed_one_by_one(app, client_as):
    owner = client_as("administrator")
    assert "No target is stored: nobody is notified." in owner.get(TARGETS).text
    form = {"url": "json://ann:pa55@127.0.0.1:9/s3cret", "is_local": "y", "events": EVENTS}
    added = owner.send(ADD, form, follow_redirects=True)
    assert (
        "json at 127.0.0.1" in added.text
        and "Inside our network" in lines(added)
        and "s3cret" not in added.text
    )
    owner.send(ADD, {"url": "ntfy://topic-of-ours", "events": EVENTS})
    owner.send(ADD, form)  # pressed twice
    both = owner.get(TARGETS)
    assert len(stored(both)) == 2 and "Internet only" in both.text and "topic-of-ours" not in both.text
    for _ in range(2):
        left = owner.send(TARGETS, {"do": "remove", "target": stored(both)[0]}, follow_redirects=True)
        assert stored(left) == stored(both)[1:]
    with app.app_context():
        told = [
            row.detail["changes"]
            for row in db.session.query(AuditEvent)
            .filter_by(action="notifications_changed")
            .order_by(AuditEvent.number)
        ]
    assert told == [
        "added: json at 127.0.0.1, inside our network",
        "added: ntfy",
        "added: json at 127.0.0.1, inside our network",
        "removed: json at 127.0.0.1",
    ]


def test_O2_a_target_inside_our_network_is_added_only_when_that_is_checked(client_as, monkeypatch):
    owner = client_as("administrator")
    monkeypatch.setattr("socket.getaddrinfo", lambda *_a, **_k: [(2, 1, 6, "", ("10.0.0.1", 0))])
    for address in ("json://ann:pa55@10.0.0.1/s3cret", "json://looks-public.example/s3cret"):
        refused = owner.send(ADD, {"url": address, "events": EVENTS})
        assert (
            refused.status_code == 422 and "Check “Inside our network” if that is intended." in refused.text
        )
        assert stored(owner.get(TARGETS)) == []
    refused = owner.send(ADD, {"url": "json://hooks.example form://10.0.0.1", "events": EVENTS})
    assert refused.status_code == 422 and "cannot contain spaces" in refused.text
    assert stored(
        owner.send(
            ADD,
            {"url": "json://looks-public.example/s3cret", "is_local": "y", "events": EVENTS},
            follow_redirects=True,
        )
    )


def test_O2_a_test_that_fails_says_of_which_target_and_where_to_look(client_as, requests_mock, monkeypatch):
    owner = client_as("administrator")
    monkeypatch.setattr("socket.getaddrinfo", lambda *_a, **_k: [(2, 1, 6, "", ("8.8.8.8", 0))])
    requests_mock.post("http://good.example/hook", status_code=204)
    requests_mock.post("https://gone.example/s3cret", status_code=410)
    for address in ("json://good.example/hook", "jsons://ann:pa55@gone.example/s3cret"):
        owner.send(ADD, {"url": address, "events": EVENTS})
    page = owner.send(TARGETS, {"do": "test"}).text
    assert "1 of 2 targets received the test." in page
    assert (
        "Target 2, <bdi>jsons at gone.example</bdi>: The message was not accepted. The log says more." in page
    )
    assert "Target 1" not in page and "pa55" not in page and "s3cret" not in page
    requests_mock.post("https://gone.example/s3cret", status_code=200)
    page = owner.send(TARGETS, {"do": "test"}).text
    assert "2 of 2 targets received the test." in page and "Target 2" not in page


def test_P10_what_cannot_be_pressed_yet_is_not_shown_as_a_button(client_as):
    page = client_as("administrator").get("/settings/notifications").get_data(as_text=True)
    assert "disabled" not in page and "Send a test" not in page
