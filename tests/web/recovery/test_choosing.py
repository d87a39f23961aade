"""P12, R3: what is checked stays checked through views and questions, and only that is deleted."""

import re

import pytest

from portal.clock import utcnow
from portal.extensions import db
from portal.models import EndUser, MicrosoftTenant, Organization, Role, SyncRun
from portal.recovery import views
from tests.web import customers
from tests.web.recovery.pages import address, hidden, names


def test_P12_a_search_or_a_view_keeps_what_is_checked_and_deletes_nobody(client_as, app, customer):
    browser = client_as(Role.TECHNICIAN)
    form = {"id": [customer["ann"], customer["bob"]], "look": "careful", "confirmed": "1", "unlink": "1"}
    text = browser.send(address(customer), form).get_data(as_text=True)
    assert "Edited or owning Assets" in text and "1 more is checked and not shown here." in text
    assert f'type="hidden" name="id" value="{customer["ann"]}"' in text
    assert f'value="{customer["bob"]}" aria-label="Delete Bob" checked' in text
    assert 'name="unlink" value="1" checked' in text
    assert names(app) == ["Ann", "Bob", "Cid", "Old"]
    text = browser.send(address(customer), {"look": "all", "q": "ann"}).get_data(as_text=True)
    assert 'aria-label="Delete Ann">' in text and "Delete Bob" not in text
    page = client_as(Role.READ_ONLY).get(address(customer) + "?look=all&q=nobody")
    assert "Nobody here has “<bdi>nobody</bdi>”" in page.get_data(as_text=True)


def test_P12_a_dialog_that_closes_over_the_page_leaves_what_is_checked(client_as, customer):
    browser = client_as(Role.TECHNICIAN)
    again = re.search(r"<div ([^>]+dialog-closed from:body[^>]+)>", browser.get(address(customer)).text)[1]
    assert f'hx-post="{address(customer)}" hx-include="#created" hx-vals=\'{{"look": "all"}}\'' in again
    form = {"seen": [customer["ann"], customer["bob"]], "id": [customer["bob"]], "look": "all"}
    answer = browser.htmx(address(customer), "content", form, method="POST")
    assert 'aria-label="Delete Ann">' in answer.text and 'aria-label="Delete Bob" checked' in answer.text
    assert 'id="content"' in answer.text and 'name="unlink" value="1">' in answer.text


def test_P12_the_question_says_who_is_left_and_leads_back_with_the_choice_kept(client_as, customer):
    browser = client_as(Role.TECHNICIAN)
    marked = {"seen": [customer["ann"], customer["bob"]], "id": [customer["bob"]]}
    question = browser.send(address(customer), marked).get_data(as_text=True)
    assert "Stays:</strong> everyone who was here before, and 1 person whom a sync created" in question
    assert 'name="look" value="all">Back, delete nobody</button>' in question
    back = browser.send(address(customer), {**marked, "look": "all", "confirmed": "1"}).get_data(as_text=True)
    assert f'value="{customer["bob"]}" aria-label="Delete Bob" checked>' in back
    assert f'value="{customer["ann"]}" aria-label="Delete Ann">' in back


def test_P12_R3_whoever_was_kept_is_not_offered_for_deletion_again_and_the_steps_go_on(
    client_as, app, customer
):
    browser = client_as(Role.TECHNICIAN)
    keep = {"seen": [customer["ann"], customer["bob"]], "unlink": "1"}
    with app.app_context():
        run = SyncRun(
            organization_id=customer["id"],
            microsoft_tenant_id=customer["wrong"],
            trigger="initial",
            status="succeeded",
            created_at=utcnow(),
            started_at=utcnow(),
        )
        db.session.add(run)
        db.session.flush()
        for one in ("ann", "bob"):
            db.session.get(EndUser, customer[one]).created_by_run_id = run.id
        db.session.commit()
    now = 'aria-current="step"'
    assert "Step 2, now" in browser.get(address(customer)).get_data(as_text=True)
    assert browser.send(address(customer), {**keep, "confirmed": "0"}).status_code == 303
    text = browser.get(address(customer)).get_data(as_text=True)
    assert 'aria-label="Delete Ann">' in text and "unlinked already" in text
    assert text.count(now) == 1 and "Step 3, now" in text
    browser.send(address(customer, "/remap"), {"microsoft_tenant_id": customer["right"]})
    text = browser.get(address(customer)).get_data(as_text=True)
    assert text.count(now) == 1 and "Step 3, done" in text and "Step 4, now" in text
    assert 'class="btn btn-primary" href="/organizations/' in text.partition("Step 4, now")[2]


@pytest.fixture
def crowd(app, customer):
    """Five more whom the sync created, the second edited by hand; the page shows two at a time."""
    with app.app_context():
        wrong = db.session.get(MicrosoftTenant, customer["wrong"])
        row = db.session.get(Organization, customer["id"])
        for number in range(5):
            name = f"Dan {number}"
            user = customers.directory_user(wrong, name, f"dan{number}@harborview.example")
            edited = {"edited_at": utcnow()} if number == 1 else {}
            customers.end_user(row, name, user.email, source="sync", linked_to=user, **edited)
        db.session.commit()


@pytest.mark.usefixtures("crowd")
def test_R3_those_beyond_the_list_go_with_one_box_but_nobody_who_was_edited(
    client_as, app, customer, monkeypatch
):
    monkeypatch.setattr(views, "SHOWN", 2)  # Ann, who is checked, and Bob, who is not
    browser = client_as(Role.TECHNICIAN)
    text = browser.get(address(customer)).get_data(as_text=True)
    assert "Also the 4 people not listed yet to whom nothing was added since" in text
    assert re.search(r'name="rest" value="1"[^>]* checked', text)
    form = {"id": [customer["ann"]], "seen": hidden(text, "seen"), "rest": "1"}
    assert form["seen"] == [customer["ann"], customer["bob"]]
    text = browser.send(address(customer), form).get_data(as_text=True)
    assert "Delete 5 End Users" in text and "Dan 4" in text and "Dan 1" not in text
    again = {
        "id": hidden(text, "id"),
        "seen": hidden(text, "seen"),
        "rest": hidden(text, "rest"),
        "confirmed": hidden(text, "confirmed"),
    }
    assert again["confirmed"] == ["5"]
    assert browser.send(address(customer), again).status_code == 303
    assert names(app) == ["Bob", "Cid", "Dan 1", "Old"]


@pytest.mark.usefixtures("crowd")
def test_R3_who_was_unchecked_stays_unchecked_in_every_view(client_as, app, customer, monkeypatch):
    monkeypatch.setattr(views, "SHOWN", 2)
    browser = client_as(Role.TECHNICIAN)
    form = {"id": [], "seen": [customer["ann"], customer["bob"]], "rest": "1", "look": "all", "q": "dan"}
    text = browser.send(address(customer), form).get_data(as_text=True)
    assert (
        "Also the 3 people" in text
        and 'aria-label="Delete Dan 0" checked' in text
        and 'aria-label="Delete Dan 1">' in text
    )
    assert customer["ann"] in hidden(text, "seen") and customer["ann"] not in hidden(text, "id")


@pytest.mark.usefixtures("crowd")
def test_R3_when_others_would_go_than_were_confirmed_nobody_does(client_as, app, customer):
    answer = client_as().send(address(customer), {"rest": "1", "confirmed": "4"})
    assert (
        answer.status_code == 422
        and "5 would be deleted now, not 4. Review the list again." in answer.get_data(as_text=True)
    )
    assert len(names(app)) == 9
