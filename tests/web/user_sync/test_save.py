"""U5-U8, U11, U12, L5, T5: preview, enable, edit, disable, progress, Sync Now."""

import re

import pytest

from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import (
    AuditEvent,
    DirectoryUser,
    EndUser,
    MicrosoftTenant,
    Organization,
    Role,
    SyncRun,
    UserSync,
)
from tests.web import customers
from tests.web.user_sync.forms import everything, url


def runs(app):
    with app.app_context():
        return list(db.session.scalars(db.select(SyncRun)))


def events(app, action):
    with app.app_context():
        return list(db.session.scalars(db.select(AuditEvent).where(AuditEvent.action == action)))


def test_U6_enabling_queues_the_first_run_and_shows_its_progress(client_as, app, customer):
    browser = client_as()
    answer = browser.send(url(customer), everything())
    assert answer.status_code == 303 and answer.location.endswith(url(customer, "/status"))
    assert [(run.trigger, run.status) for run in runs(app)] == [("initial", "queued")]
    assert len(events(app, "user_sync_enabled")) == 1
    text = browser.get(answer.location).get_data(as_text=True)
    assert "The sync is in progress" in text and "The sync continues" in text


def test_U6_in_the_dialog_success_is_the_progress_block(client_as, app, customer):
    answer = client_as().htmx(url(customer), "dialog", everything(), method="POST")
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200 and "<html" not in text
    assert 'id="sync_status"' in text and 'hx-trigger="every 2s"' in text and "Close" in text


@pytest.mark.parametrize("role", [Role.READ_ONLY, Role.TECHNICIAN])
def test_P7_enabling_is_for_administrators(client_as, app, customer, role):
    answer = client_as(role).send(url(customer), everything())
    assert answer.status_code == 403 and not runs(app)


def test_U5_preview_lists_names_and_reasons_and_writes_nothing(client_as, app, customer):
    text = client_as(Role.READ_ONLY).send(url(customer, "/preview"), everything()).get_data(as_text=True)
    assert "Preview:" in text and "Bo Lind" in text and "Linked to the End User with the same email." in text
    assert "Enable with exactly this plan" not in text
    narrowed = (
        client_as().send(url(customer, "/preview"), {**everything(), "show": "link"}).get_data(as_text=True)
    )
    assert "Ada Obi" in narrowed and "Bo Lind" not in narrowed
    with app.app_context():
        assert db.session.scalar(db.select(db.func.count()).select_from(EndUser)) == 1
    assert not runs(app)


def plan_of(text):
    return re.search(r'name="plan_id" value="([^"]+)"', text)[1]


def test_U12_exactly_the_previewed_plan_is_enabled(client_as, app, customer):
    browser = client_as()
    plan = plan_of(browser.send(url(customer, "/preview"), everything()).get_data(as_text=True))
    assert browser.send(url(customer), everything(plan_id=plan)).status_code == 303
    assert runs(app)[0].plan_fingerprint


def test_U12_a_plan_that_has_moved_applies_nothing_and_shows_the_new_one(client_as, app, customer):
    browser = client_as()
    plan = plan_of(browser.send(url(customer, "/preview"), everything()).get_data(as_text=True))
    with app.app_context():
        microsoft = db.session.scalar(db.select(MicrosoftTenant))
        customers.directory_user(microsoft, "Eve New", "eve@harborview.example")
        db.session.commit()
    answer = browser.send(url(customer), everything(plan_id=plan))
    text = answer.get_data(as_text=True)
    assert (
        answer.status_code == 422 and "Microsoft has changed since this preview" in text and "Eve New" in text
    )
    assert not runs(app)


def test_U7_an_edit_saves_and_starts_nothing(client_as, app, customer):
    browser = client_as()
    browser.send(url(customer), everything())
    form = everything(department_all=None, department="Fundraising", hold_percent="40", hold_minimum="3")
    answer = browser.htmx(url(customer), "dialog", form, method="POST")
    assert "close-dialog" in answer.headers["HX-Trigger"] and "Filters saved" in answer.get_data(as_text=True)
    assert len(runs(app)) == 1 and len(events(app, "user_sync_edited")) == 1
    with app.app_context():
        row = db.session.scalar(db.select(UserSync))
        assert row.filters["department"] == {"all": False, "values": ["Fundraising"]}
        assert (row.hold_percent, row.hold_minimum) == (40, 3)


def opened_on(text):
    return re.search(r'name="opened_on" value="([^"]+)"', text)[1]


def test_U1_a_form_that_was_opened_for_another_microsoft_tenant_enables_nothing(client_as, app, customer):
    browser = client_as()
    seen = opened_on(browser.get(url(customer)).get_data(as_text=True))
    with app.app_context():
        other = customers.microsoft_tenant("Fabrikam", domains=("fabrikam.example",))
        db.session.get_one(Organization, customer).tenant.microsoft_tenant_id = other.id
        db.session.commit()
    answer = browser.send(url(customer), everything(opened_on=seen, tenant_confirmed="1"))
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422 and "mapped to another Microsoft tenant, Fabrikam" in text
    assert not runs(app)
    again = everything(opened_on=opened_on(text), tenant_confirmed="1")
    assert browser.send(url(customer), again).status_code == 303


@pytest.mark.parametrize("way", ["", "/preview"])
def test_U7_save_does_not_switch_on_again_what_was_disabled_meanwhile(client_as, app, customer, way):
    browser = client_as()
    browser.send(url(customer), everything())
    text = browser.get(url(customer)).get_data(as_text=True)
    seen = opened_on(text)
    browser.send(url(customer, "/disable"))
    if way:
        seen = opened_on(browser.send(url(customer, way), everything(opened_on=seen)).get_data(as_text=True))
    answer = browser.send(url(customer), everything(opened_on=seen))
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422 and "Someone else disabled this sync" in text
    assert "Set Up Microsoft Entra ID User Sync" in text and len(runs(app)) == 1
    assert browser.send(url(customer), everything(opened_on=opened_on(text))).status_code == 303
    assert len(runs(app)) == 2


def test_U7_filters_that_somebody_else_saved_meanwhile_are_not_replaced_unseen(client_as, app, customer):
    browser = client_as()
    browser.send(url(customer), everything())
    seen = opened_on(browser.get(url(customer)).get_data(as_text=True))
    theirs = everything(department_all=None, department="Legal", opened_on=seen)
    ours = everything(department_all=None, department="Fundraising", opened_on=seen)
    assert browser.send(url(customer), theirs).status_code == 303
    assert browser.send(url(customer), theirs).status_code == 303  # the same once more is no other choice
    answer = browser.send(url(customer), ours)
    assert answer.status_code == 422 and "Someone else saved other filters" in answer.get_data(as_text=True)
    ours["opened_on"] = opened_on(answer.get_data(as_text=True))
    assert browser.send(url(customer), ours).status_code == 303


def test_U6_enable_pressed_twice_shows_the_progress_and_enables_once(client_as, app, customer):
    browser = client_as()
    form = everything(opened_on=opened_on(browser.get(url(customer)).get_data(as_text=True)))
    first, second = browser.send(url(customer), form), browser.send(url(customer), form)
    assert (first.status_code, first.location) == (second.status_code, second.location) and second.location
    assert second.location.endswith("/status") and len(runs(app)) == 1
    assert not events(app, "user_sync_edited")


def test_U7_a_threshold_that_is_no_number_is_an_error_in_place(client_as, app, customer):
    answer = client_as().send(url(customer), everything(hold_percent="many"))
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422 and 'value="many"' in text and "Whole numbers only" in text
    assert not runs(app)


@pytest.fixture
def linked(app, customer):
    """Ada and Bo are linked: only who is linked can stay or leave."""
    with app.app_context():
        organization = db.session.get(Organization, customer)
        users = {row.display_name: row for row in db.session.scalars(db.select(DirectoryUser))}
        ada = db.session.scalar(db.select(EndUser).where(EndUser.display_name == "Ada"))
        customers.link(ada, users["Ada Obi"].microsoft_tenant_id, users["Ada Obi"].object_id)
        customers.end_user(organization, "Bo Lind", "bo@harborview.example", linked_to=users["Bo Lind"])
        db.session.commit()


@pytest.mark.usefixtures("linked")
def test_U11_an_edit_says_by_name_who_enters_and_who_leaves(client_as, customer):
    browser = client_as()
    browser.send(url(customer), everything(department_all=None, department="Fundraising"))
    text = browser.htmx(
        url(customer, "/recount"), "match", everything(department_all=None, department="Legal"), method="POST"
    ).get_data(as_text=True)
    enters, leaves = text[text.index("Enters") : text.index("Leaves")], text[text.index("Leaves") :]
    assert "Cy Rao" in enters and "Ada Obi" in leaves and "Bo Lind" in leaves


@pytest.mark.usefixtures("linked")
def test_U11_thousands_who_leave_are_counted_and_not_all_named(client_as, customer, monkeypatch):
    monkeypatch.setattr("portal.user_sync.views.NAMED", 1)
    browser = client_as()
    browser.send(url(customer), everything(department_all=None, department="Fundraising"))
    choice = everything(department_all=None, department="Legal")
    text = browser.htmx(url(customer, "/recount"), "match", choice, method="POST").get_data(as_text=True)
    leaves = text[text.index("Leaves") :]
    assert (
        "Ada Obi" in leaves
        and "Bo Lind" not in leaves
        and ">2<" in leaves
        and "and 1 more</button>" in leaves
        and "/user-sync/preview" in leaves
    )


@pytest.mark.usefixtures("linked")
def test_U11_who_stays_is_named_up_to_a_number_and_the_rest_is_a_link(client_as, customer, monkeypatch):
    browser = client_as()
    browser.send(url(customer), everything())

    def stays():
        choice = everything(department_all=None, department="Fundraising")
        text = browser.htmx(url(customer, "/recount"), "match", choice, method="POST").get_data(as_text=True)
        return text[text.index("Stays") : text.index("Leaves")]

    found = stays()
    assert "Ada Obi" in found and "Bo Lind" in found and "Cy Rao" not in found and ">2<" in found
    monkeypatch.setattr("portal.user_sync.views.NAMED", 1)
    assert "Bo Lind" not in stays()
    assert "and 1 more</button>" in stays()


def test_U6_U12_a_first_run_that_stopped_says_that_the_sync_is_on(client_as, app, customer):
    browser = client_as()
    browser.send(url(customer), everything())
    with app.app_context():
        run = db.session.scalar(db.select(SyncRun))
        run.status, run.error = "cancelled", "Microsoft has changed since this preview. Nothing was applied."
        db.session.commit()
    page = browser.get(url(customer, "/status")).text
    assert "The sync is on: its next run decides again" in page and "devices follow" not in page


def test_U8_disabling_asks_first_and_says_what_stays(client_as, app, customer):
    browser = client_as()
    browser.send(url(customer), everything())
    page = browser.get(url(customer, "/disable")).get_data(as_text=True)
    assert "Stops now:" in page and "1 End User" in page and "Keep it on" in page
    with app.app_context():
        assert db.session.scalar(db.select(UserSync)).enabled
    answer = client_as(Role.TECHNICIAN).send(url(customer, "/disable"))
    assert answer.status_code == 303 and len(events(app, "user_sync_disabled")) == 1
    assert [run.status for run in runs(app)] == ["cancelled"]
    assert browser.get(url(customer, "/disable")).status_code == 404


def test_disabling_is_not_for_read_only(client_as, customer):
    client_as().send(url(customer), everything())
    assert client_as(Role.READ_ONLY).get(url(customer, "/disable")).status_code == 403


def test_T5_sync_now_gives_the_run_that_is_there(client_as, app, customer):
    client_as().send(url(customer), everything())
    answer = client_as(Role.TECHNICIAN).send(url(customer, "/runs"))
    assert answer.status_code == 303 and answer.location.endswith(runs(app)[0].id)
    assert len(runs(app)) == 1
    assert client_as(Role.READ_ONLY).send(url(customer, "/runs")).status_code == 403


def test_U6_the_last_progress_fragment_polls_no_more(client_as, app, customer):
    browser = client_as()
    browser.send(url(customer), everything())
    with app.app_context():
        run = db.session.scalar(db.select(SyncRun))
        run.status, run.phase, run.done, run.total, run.started_at = "running", "Applying", 34, 58, utcnow()
        db.session.commit()
    text = browser.htmx(url(customer, "/status"), "sync_status").get_data(as_text=True)
    assert "34 of 58" in text and 'hx-trigger="every' in text and "<html" not in text
    with app.app_context():
        run = db.session.scalar(db.select(SyncRun))
        run.status, run.finished_at = "succeeded", utcnow()
        run.counts = {"read": 4, "in_scope": 4, "out_of_scope": 0, "skipped": 0, "created": 3, "linked": 1}
        db.session.commit()
    text = browser.htmx(url(customer, "/status"), "sync_status").get_data(as_text=True)
    assert "Succeeded" in text and "3 created" in text and "hx-trigger" not in text


def test_U6_a_finished_first_sync_leads_on_to_whom_it_brought(client_as, app, customer):
    browser = client_as()
    browser.send(url(customer), everything())
    with app.app_context():
        run = db.session.scalar(db.select(SyncRun))
        run.status, run.finished_at = "succeeded", utcnow()
        run.counts = {"read": 4, "in_scope": 4, "out_of_scope": 0, "skipped": 0, "created": 3, "conflicts": 1}
        key = run.id
        db.session.commit()
    text = browser.get(url(customer, "/status")).get_data(as_text=True)
    assert f'href="/sync-runs/{key}?decision=create#people">3 created</a>' in text
    assert f'href="/organizations/{customer}/conflicts">Settle conflicts</a>' in text
    assert f'href="/organizations/{customer}/end-users">Show the End Users</a>' in text


def test_T3_the_delayed_lane_says_the_bound(client_as, app, customer):
    browser = client_as()
    browser.send(url(customer), everything(group_all=None, group="group-foundation-staff-0"))
    text = browser.get(url(customer, "/status")).get_data(as_text=True)
    assert "Nobody shows until everyone is ready" in text and "Show them all at once" in text


def test_posting_without_a_token_changes_nothing(client_as, app, customer):
    answer = client_as().post(url(customer), data=everything())
    assert answer.status_code == 400 and not runs(app)


def test_U6_the_heading_of_the_dialog_stops_saying_progress_when_the_run_is_over(client_as, app, customer):
    browser = client_as()
    text = browser.htmx(url(customer), "dialog", everything(), method="POST").get_data(as_text=True)
    poll = re.search(r'hx-get="([^"]+/status[^"]*)"', text)[1]
    assert 'id="dialog-title"' not in browser.htmx(poll, "sync_status").get_data(as_text=True)
    with app.app_context():
        mark_write(db.session())
        run = db.session.scalars(db.select(SyncRun)).one()
        run.status, run.finished_at = "succeeded", utcnow()
        db.session.commit()
    text = browser.htmx(poll, "sync_status").get_data(as_text=True)
    assert '<h2 id="dialog-title" tabindex="-1" hx-swap-oob="true">Microsoft User Sync</h2>' in text
    assert "hx-trigger" not in text


def test_U6_the_page_of_a_run_in_progress_asks_for_no_heading_of_a_dialog(client_as, app, customer):
    browser = client_as()
    browser.send(url(customer), everything())
    poll = re.search(
        r'hx-get="([^"]+/status[^"]*)"', browser.get(url(customer, "/status")).get_data(as_text=True)
    )[1]
    with app.app_context():
        mark_write(db.session())
        run = db.session.scalars(db.select(SyncRun)).one()
        run.status, run.finished_at = "succeeded", utcnow()
        db.session.commit()
    assert "hx-swap-oob" not in browser.htmx(poll, "sync_status").get_data(as_text=True)
