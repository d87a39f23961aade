"""P6, P14: one person's page, its pins, and deleting with "never again"."""

import re

import pytest

from portal.audit import Actor, acting_as
from portal.end_users import service
from portal.exceptions import service as exceptions
from portal.extensions import db
from portal.models import EndUser, Organization, SyncException
from portal.user_sync import previews
from tests.web import customers


def text_of(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True)))


def test_P6_history_names_field_old_new_and_the_run(client_as, ids):
    answer = client_as("read-only").get(f"/end-users/{ids['person']}")
    history = text_of(answer).partition("Change history")[2]
    assert "Job Title: Receptionist becomes Practice Manager" in history
    assert "Initial sync ada@rollcall.example" in history
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
    assert "Edited City: Harborview becomes Durban Notes script through the API" in history
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
    assert "Unpin Mobile Phone" in page


def test_P14_a_pin_needs_a_reason_and_a_real_day_and_says_so_at_the_field(app, client_as, ids):
    browser = client_as("technician")
    answer = browser.htmx(
        f"/end-users/{ids['person']}/pin/city", "dialog", {"reason": "", "expires_at": ""}, method="POST"
    )
    assert answer.status_code == 422
    assert "Enter a reason, so that others can understand it." in answer.get_data(as_text=True)
    answer = browser.send(f"/end-users/{ids['person']}/pin/city", {"reason": "x", "expires_at": "soon"})
    assert answer.status_code == 422
    assert "Enter a day such as 2027-01-31." in answer.get_data(as_text=True)
    with app.app_context():
        assert db.session.query(SyncException).count() == 0


def test_P6_W6_why_says_of_a_linked_person_on_the_never_sync_list_that_they_are_linked(app, client_as, ids):
    browser, address = client_as("read-only"), f"/end-users/{ids['person']}/why"
    assert "linked to an End User" in text_of(browser.get(address)) and "which stays" not in text_of(
        browser.get(address)
    )
    with app.app_context():
        organization = db.session.get(Organization, ids["organization"])
        exceptions.never_sync(organization, ids["object"], reason="shared mailbox")
        db.session.commit()
        assert previews.explain(organization, ids["object"])["match"] == {
            "end_user_id": ids["person"],
            "by": "link",
        }
    page = text_of(browser.get(address))
    assert (
        "Skipped: on the never-sync list." in page and "linked to an End User, which stays as it is" in page
    )
    with app.app_context():
        db.session.delete(db.session.get(EndUser, ids["person"]))
        db.session.commit()
    page = text_of(browser.get(f"/organizations/{ids['organization']}/end-users/why?user={ids['object']}"))
    assert "not linked to an End User" in page and "which stays" not in page


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


@pytest.fixture
def by_hand(app, ids):
    """The id of somebody whom no sync manages."""
    with app.app_context():
        row = customers.end_user(
            db.session.get_one(Organization, ids["organization"]), "Hana Hand", "hana@hand.example", phone="1"
        )
        row.street_address = "12 Main Street\nFlat 3"
        db.session.commit()
        return row.id


def of_form(page):
    """What a browser posts from the form of details, untouched."""
    posted = dict(
        re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', page.partition('id="details"')[2])
    )
    return {key: value.replace("\n", "") for key, value in posted.items() if key != "csrf_token"} | {
        "notes": ""
    }


def saved(app, by_hand, name):
    with app.app_context():
        return getattr(db.session.get_one(EndUser, by_hand), name)


def test_P6_a_form_saves_what_was_entered_in_it_and_not_what_it_showed(client_as, app, by_hand):
    browser, address = client_as("technician"), f"/end-users/{by_hand}"
    first = of_form(browser.get(address).text)
    assert browser.send(address, {**first, "phone": "2"}).status_code == 303
    assert browser.send(address, {**first, "job_title": "Cook"}).status_code == 303
    assert (saved(app, by_hand, "phone"), saved(app, by_hand, "job_title")) == ("2", "Cook")
    assert saved(app, by_hand, "street_address") == "12 Main Street\nFlat 3"


def test_P6_what_two_changed_is_shown_before_the_second_replaces_the_first(client_as, app, by_hand):
    browser, address = client_as("technician"), f"/end-users/{by_hand}"
    first = of_form(browser.get(address).text)
    browser.send(address, {**first, "phone": "2", "city": "Kiel"})
    answer = browser.send(address, {**first, "phone": "3"})
    assert answer.status_code == 422 and "Someone else changed this to “2”." in answer.text
    again = of_form(answer.text)
    assert (again["phone"], again["city"]) == ("3", "Kiel") and saved(app, by_hand, "phone") == "2"
    assert browser.send(address, again).status_code == 303
    assert (saved(app, by_hand, "phone"), saved(app, by_hand, "city")) == ("3", "Kiel")


def test_W6_what_is_entered_in_a_field_that_microsoft_manages_by_now_is_refused(client_as, app, ids):
    browser, address = client_as("technician"), f"/end-users/{ids['person']}"
    form = of_form(browser.get(address).text)
    assert browser.send(address, form).status_code == 303
    answer = browser.send(address, {**form, "phone": "3"})
    assert answer.status_code == 422 and "Managed by Microsoft" in answer.text


def test_P6_sync_this_user_now_is_a_run_for_that_person_and_says_so(app, client_as, ids):
    browser = client_as("technician")
    answer = browser.send(f"/end-users/{ids['person']}/sync")
    page = browser.get(answer.location).text
    assert "This run is for <bdi>Ada Lovelace</bdi> alone. Nobody else was changed" in page
    assert "Sync of one person in Harborview Foundation" in page
    again = browser.send(f"/end-users/{ids['person']}/sync")
    assert again.location == answer.location
    everybody = browser.send(f"/organizations/{ids['organization']}/user-sync/runs")
    assert everybody.location != answer.location, "a run for one is none of all"
    assert browser.send(f"/end-users/{ids['person']}/sync").location == everybody.location
