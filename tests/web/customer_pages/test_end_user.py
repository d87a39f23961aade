"""P6, P14: one person's page, its pins, and deleting with "never again"."""

import re

from portal.audit import Actor, acting_as
from portal.end_users import service
from portal.exceptions import service as exceptions
from portal.extensions import db
from portal.models import EndUser, Organization, SyncException
from portal.user_sync import service as user_sync


def text_of(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True)))


def test_P6_history_names_field_old_new_and_the_run(client_as, ids):
    answer = client_as("read-only").get(f"/end-users/{ids['person']}")
    history = text_of(answer).partition("Change history")[2]
    assert "Job Title Receptionist becomes Practice Manager" in history
    assert "First sync ada@rollcall.example" in history
    assert f'href="/sync-runs/{ids["run"]}"' in answer.get_data(as_text=True)


def test_P6_history_has_edits_by_hand_with_who_made_them_newest_first(app, client_as, ids):
    browser = client_as("technician")
    browser.send(f"/end-users/{ids['person']}/pin/city", {"reason": "their own branch", "expires_at": ""})
    page = browser.get(f"/end-users/{ids['person']}").get_data(as_text=True)
    assert "Pinned their own branch City" in re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    with app.app_context(), acting_as(Actor("script", "api")):
        person = db.session.get(EndUser, ids["person"])
        person.city = "Harborview"
        service.change(person, {"city": "Durban", "notes": "rings on Mondays"})
        db.session.commit()
    history = text_of(browser.get(f"/end-users/{ids['person']}")).partition("Change history")[2]
    assert "Edited City Harborview becomes Durban Notes script through the API" in history
    assert "rings on Mondays" not in history
    assert history.index("Edited") < history.index("Pinned") < history.index("Receptionist")
    log = text_of(client_as("administrator").get("/settings/audit?action=end_user_changed"))
    assert "city: Harborview → Durban" in log and "rings on Mondays" not in log


def test_P6_assets_show_their_addresses_and_who_assigned_them(client_as, ids):
    page = text_of(client_as().get(f"/end-users/{ids['person']}"))
    assert "HVD-LT-0142 3C:52:82:9A:01:7F By the sync, same MAC as an Intune device" in page


def test_W6_a_pinned_field_shows_both_values_its_reason_and_its_end(app, client_as, ids):
    browser = client_as("technician")
    data = {"reason": "prefers her own number", "expires_at": "2099-01-31"}
    assert browser.send(f"/end-users/{ids['person']}/pin/mobile_phone", data).status_code == 303
    page = text_of(browser.get(f"/end-users/{ids['person']}"))
    assert "until 31 Jan 2099 : “ prefers her own number ”" in page
    assert "Microsoft says +27 82 555 0177" in page
    assert "Unpin Mobile phone" in page


def test_P14_a_pin_needs_a_reason_and_a_real_day_and_says_so_at_the_field(app, client_as, ids):
    browser = client_as("technician")
    answer = browser.htmx(
        f"/end-users/{ids['person']}/pin/city", "dialog", {"reason": "", "expires_at": ""}, method="POST"
    )
    assert answer.status_code == 422
    assert "Say why, for those who come after you." in answer.get_data(as_text=True)
    answer = browser.send(f"/end-users/{ids['person']}/pin/city", {"reason": "x", "expires_at": "soon"})
    assert answer.status_code == 422
    assert "Enter a day such as 2027-01-31." in answer.get_data(as_text=True)
    with app.app_context():
        assert db.session.query(SyncException).count() == 0


def test_P6_W6_why_says_of_a_linked_person_on_the_never_sync_list_that_they_are_linked(app, client_as, ids):
    browser, address = client_as("read-only"), f"/end-users/{ids['person']}/why"
    assert "linked to an End User" in text_of(browser.get(address)) and "who stays" not in text_of(browser.get(address))
    with app.app_context():
        organization = db.session.get(Organization, ids["organization"])
        exceptions.never_sync(organization, ids["object"], reason="shared mailbox")
        db.session.commit()
        assert user_sync.explain(organization, ids["object"])["match"] == {"end_user_id": ids["person"], "by": "link"}
    page = text_of(browser.get(address))
    assert "Skipped: on the never-sync list." in page and "linked to an End User, who stays as they are" in page
    with app.app_context():
        db.session.delete(db.session.get(EndUser, ids["person"]))
        db.session.commit()
    page = text_of(browser.get(f"/organizations/{ids['organization']}/end-users/why?user={ids['object']}"))
    assert "not linked to an End User" in page and "who stays" not in page


def test_L4_deleting_can_also_keep_the_person_out(app, client_as, ids):
    browser = client_as("technician")
    assert "Never sync this person again" in text_of(browser.get(f"/end-users/{ids['person']}/delete"))
    browser.send(f"/end-users/{ids['person']}/delete", {"never_sync": "1"})
    with app.app_context():
        assert db.session.get(EndUser, ids["person"]) is None
        assert db.session.query(SyncException).one().object_id == ids["object"]
    page = text_of(browser.get(f"/organizations/{ids['organization']}/exceptions"))
    assert "Ada Lovelace ada@harborview.example" in page.partition("Never synced")[2]


def test_P14_the_never_sync_list_takes_an_email(app, client_as, ids):
    browser = client_as("technician")
    where = f"/organizations/{ids['organization']}/exceptions"
    assert browser.send(where, {"object_id": "ADA@harborview.example", "reason": "shared"}).status_code == 303
    with app.app_context():
        assert db.session.query(SyncException).one().object_id == ids["object"]
    assert "no such user" in text_of(browser.send(where, {"object_id": "nobody@x.example", "reason": "x"}))
