"""U4, U5, U10: what the set-up pop-up counts, warns of and asks once more, while filters change."""

import re
from datetime import timedelta

from portal.clock import utcnow
from portal.exceptions import service as exceptions
from portal.extensions import db
from portal.models import DirectoryGroup, MicrosoftTenant, Organization, Role, SyncRun
from portal.user_sync import previews
from tests.web import customers
from tests.web.user_sync.forms import everything, url


def test_U4_the_group_warning_shows_as_soon_as_All_is_off(client_as, customer):
    answer = client_as().htmx(url(customer, "/recount"), "match", everything(group_all=None), method="POST")
    assert "With a Group filter, nobody shows until everyone has been processed." in answer.get_data(
        as_text=True
    )
    answer = client_as(Role.TECHNICIAN).htmx(url(customer, "/recount"), "match", everything(), method="POST")
    assert "nobody shows until" not in answer.get_data(as_text=True)


def test_U5_the_live_line_counts_and_its_parts_sum_to_the_match(client_as, customer):
    answer = client_as().htmx(
        url(customer, "/recount"),
        "match",
        everything(department_all=None, department="Fundraising"),
        method="POST",
    )
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200 and "<html" not in text
    assert '>2</span> <span class="text-secondary">of 4' in text
    assert "2 of 4 Microsoft users match" in text
    numbers = [int(part.split("<")[0]) for part in text.split('<td class="rc-num">')[1:]]
    assert sum(numbers) == 2 and numbers[:2] == [1, 1]  # one new, one linked


def test_U5_without_script_recount_is_a_page_that_keeps_the_choice(client_as, customer):
    page = client_as().send(url(customer, "/recount"), everything(user_type_all=None, user_type="Guest"))
    text = page.get_data(as_text=True)
    assert page.status_code == 200 and "<html" in text
    assert 'name="user_type" value="Guest" checked' in text
    assert '>1</span> <span class="text-secondary">of 4' in text


def test_U5_an_empty_match_names_the_culprit(client_as, customer):
    answer = client_as().htmx(
        url(customer, "/recount"),
        "match",
        everything(department_all=None, department="Nobody"),
        method="POST",
    )
    assert "Department accepts nobody." in answer.get_data(as_text=True)


def test_S6_checking_an_uncounted_group_has_its_members_read(client_as, app, customer):
    with app.app_context():
        group = db.session.scalar(db.select(DirectoryGroup).where(DirectoryGroup.display_name == "Trustees"))
        key = group.object_id
    form = everything(group_all=None, group=key)
    text = (
        client_as(Role.READ_ONLY)
        .htmx(url(customer, "/recount"), "match", form, method="POST")
        .get_data(as_text=True)
    )
    assert "are being read" in text and "accepts nobody" not in text
    assert '<span class="rc-match">–</span>' in text and "– of 4 Microsoft users match" in text
    assert 'id="group-accepted" hx-swap-oob="true">not counted yet</span>' in text
    with app.app_context():
        row = db.session.scalar(db.select(MicrosoftTenant))
        assert row.read_requested_at is None
        row.read_requested_at = earlier = utcnow() - timedelta(
            minutes=1
        )  # that read goes on, past the groups already
        db.session.commit()
    administrator = client_as()
    administrator.htmx(url(customer, "/recount"), "match", form, method="POST")
    with app.app_context():
        row = db.session.scalar(db.select(MicrosoftTenant))
        assert row.read_requested_at > earlier
        row.read_requested_at = None
        db.session.commit()
    administrator.htmx(url(customer, "/recount"), "match", form, method="POST")
    with app.app_context():
        assert db.session.scalar(db.select(MicrosoftTenant)).read_requested_at is None, (
            "it asks every few seconds"
        )


def test_U10_the_guard_says_yes_and_asks_one_more_click(client_as, app, customer):
    with app.app_context():
        tenant_id = db.session.get(customers.Organization, customer).tenant_id
        tenant = db.session.get(customers.Tenant, tenant_id)
        other = customers.organization("Kestrel Couriers", tenant=tenant)
        for number in range(5):
            customers.end_user(other, f"K{number}", f"k{number}@kestrel.example")
        good = customers.organization("Good", tenant=tenant)
        for number in range(5):
            customers.end_user(good, f"G{number}", f"g{number}@harborview.example")
        db.session.commit()
        wrong, right = other.id, good.id
    browser = client_as()
    assert f'href="/tenants/{tenant_id}/map"' in browser.get(url(wrong)).get_data(as_text=True)
    assert "This looks like the right tenant." in browser.get(url(right)).get_data(as_text=True)
    assert "They end in kestrel.example" in browser.get(url(wrong)).get_data(as_text=True)
    page = browser.send(url(wrong), everything())
    assert page.status_code == 422 and "Confirm that it is the right one" in page.get_data(as_text=True)
    assert browser.send(url(wrong), everything(tenant_confirmed="1")).status_code == 303
    with app.app_context():
        assert [run.organization_id for run in db.session.scalars(db.select(SyncRun))] == [wrong]


def test_U10_people_whom_the_wrong_tenant_brought_do_not_speak_for_it(client_as, app, customer):
    with app.app_context():
        row = db.session.get(customers.Organization, customer)
        microsoft_id = db.session.get(customers.Tenant, row.tenant_id).microsoft_tenant_id
        wrong = customers.organization(
            "Kestrel Couriers", tenant=db.session.get(customers.Tenant, row.tenant_id)
        )
        run = SyncRun(
            organization_id=wrong.id,
            microsoft_tenant_id=microsoft_id,
            trigger="initial",
            status="succeeded",
            created_at=utcnow(),
        )
        db.session.add(run)
        db.session.flush()
        for number in range(5):
            customers.end_user(wrong, f"K{number}", f"k{number}@kestrel.example")
            customers.end_user(
                wrong, f"H{number}", f"h{number}@harborview.example", source="sync", run_id=run.id
            )
        db.session.commit()
        wrong_id = wrong.id
    browser = client_as()
    setup = browser.get(url(wrong_id)).get_data(as_text=True)
    assert "None of 5 known e-mail addresses" in setup and "They end in kestrel.example." in setup
    recovery = browser.get(f"/organizations/{wrong_id}/recovery").get_data(as_text=True)
    assert "Now 0 of 5 known addresses" in recovery and "0 of 5 known addresses fit" in recovery


def test_U3_it_opens_at_once_and_the_sums_follow_but_no_change_of_the_choice_takes_them_away(
    client_as, customer, monkeypatch
):
    monkeypatch.setattr(previews, "OPENING_LIMIT", 3)
    browser = client_as()
    opened = browser.htmx(url(customer), "dialog").get_data(as_text=True)
    assert "4 of 4 Microsoft users match" in opened and "New End Users" not in opened
    assert f'hx-post="{url(customer, "/recount?sums=1")}" hx-trigger="load"' in opened
    changed = browser.htmx(url(customer, "/recount"), "match", everything(), method="POST").get_data(
        as_text=True
    )
    assert "New End Users" in changed


def test_T6_a_large_tenant_gets_its_number_at_once_and_the_sums_apart(client_as, customer, monkeypatch):
    monkeypatch.setattr(previews, "LIVE_LIMIT", 3)
    browser = client_as()
    text = browser.htmx(url(customer, "/recount"), "match", everything(), method="POST").get_data(
        as_text=True
    )
    assert "4 of 4 Microsoft users match" in text and "New End Users" not in text
    assert f'hx-post="{url(customer, "/recount?sums=1")}" hx-trigger="load"' in text
    text = browser.htmx(url(customer, "/recount?sums=1"), "sums", everything(), method="POST").get_data(
        as_text=True
    )
    assert "New End Users" in text and 'id="match"' not in text and "hx-trigger" not in text


def test_U5_skipped_people_and_unusable_records_add_up_as_in_the_preview(client_as, app, customer):
    with app.app_context():
        microsoft = db.session.scalar(db.select(MicrosoftTenant))
        unwanted = customers.directory_user(microsoft, "Ed Off", "ed@harborview.example")
        exceptions.never_sync(db.session.get(Organization, customer), unwanted.object_id, reason="A kiosk.")
        bad = customers.directory_user(microsoft, "Fay Bad", "fay@harborview.example")
        bad.problem = "Its displayName is no text."
        db.session.commit()

    def words(answer):
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.get_data(as_text=True)))

    browser = client_as()
    text = words(browser.htmx(url(customer, "/recount"), "match", everything(), method="POST"))
    assert "5 of 6 Microsoft users match" in text
    assert "In scope 4 Skipped, with a reason each 1 Match 5" in text
    assert "1 more record of Microsoft cannot be used and matches nothing" in text
    preview = words(browser.htmx(url(customer, "/preview"), "dialog", everything(), method="POST"))
    assert "6 read = 4 in scope + 0 out of scope + 2 skipped" in preview


def test_S6_a_group_that_hides_its_members_says_so_once_a_read_went_by_it(client_as, app, customer):
    with app.app_context():
        microsoft = db.session.scalar(db.select(MicrosoftTenant))
        group = customers.group(microsoft, "Board")
        group.hides_members = True
        key, group.members_wanted_at = group.object_id, utcnow()
        microsoft.last_synced_at = group.members_wanted_at - timedelta(hours=1)
        db.session.commit()
    form = everything(group_all=None, group=key)

    browser = client_as(Role.READ_ONLY)

    def line():
        answer = browser.htmx(url(customer, "/recount"), "match", form, method="POST")
        return answer.get_data(as_text=True)

    assert "The members of 1 group are being read" in line()
    with app.app_context():
        db.session.scalar(db.select(MicrosoftTenant)).last_synced_at = utcnow() + timedelta(seconds=1)
        db.session.commit()
    text = line()
    assert "are being read" not in text and "every 3s" not in text
    assert "Board</bdi>” hides its members" in text and "Member.Read.Hidden" in text
