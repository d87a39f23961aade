"""P8: the list of runs and the page of one."""

from datetime import timedelta

import pytest

from portal.clock import utcnow
from portal.extensions import db
from portal.models import (
    AuditEvent,
    Change,
    DirectoryUser,
    MicrosoftTenant,
    Organization,
    Role,
    SyncRun,
    UserSync,
)
from portal.runs import views
from tests.web import customers
from tests.web.runs.rows import run_of


def test_P8_the_list_shows_what_waits_for_a_decision_first(client_as, customer):
    text = client_as(Role.READ_ONLY).get("/sync-runs").get_data(as_text=True)
    assert text.index("Review") < text.index("runs_table")
    assert "2 people held back" in text


def test_P8_a_run_shows_old_and_new_reasons_and_sums(client_as, customer):
    page = client_as(Role.READ_ONLY).get(f"/sync-runs/{customer['run']}")
    text = page.get_data(as_text=True)
    assert page.status_code == 200
    assert "&lt;b&gt;Clerk&lt;/b&gt;" in text and "<b>Clerk" not in text
    assert "Skipped: no email address" in text
    assert "Apply all" not in text and "Only administrators may decide" in text


@pytest.mark.parametrize(
    ("status", "enabled", "words"),
    [
        ("failed", True, "End Users stay as they were. The sync tries again by itself."),
        ("partial", True, "What the run did stays. The sync tries the rest again by itself."),
        ("cancelled", True, "Tenant Details previews what would change now."),
        ("failed", False, "The sync is off; Tenant Details can set it up again."),
        ("succeeded", True, None),
        ("running", True, None),
    ],
)
def test_P8_a_run_that_did_not_succeed_says_what_comes_next(client_as, app, customer, status, enabled, words):
    with app.app_context():
        run = db.session.get(SyncRun, customer["run"])
        run.status = status
        tenant_id = db.session.get(Organization, run.organization_id).tenant_id
        db.session.scalars(db.select(UserSync)).one().enabled = enabled
        db.session.commit()
    page = client_as(Role.READ_ONLY).get(f"/sync-runs/{customer['run']}").get_data(as_text=True)
    if words is None:
        assert "by itself" not in page and "stays." not in page
    else:
        assert words in page and f'<a href="/tenants/{tenant_id}">Tenant Details</a>' in page


def test_R5_a_run_that_changed_nobody_offers_no_undo_and_says_microsofts_code_once(client_as, app, customer):
    browser = client_as(Role.TECHNICIAN)
    assert "Undo this run…" in browser.get(f"/sync-runs/{customer['run']}").text
    with app.app_context():
        old = db.session.get(SyncRun, customer["run"])
        values = {"error": "Consent is gone. (AADSTS7000229)", "error_code": "AADSTS7000229"}
        values |= {"status": "failed", "finished_at": utcnow()}
        organization = db.session.get(Organization, old.organization_id)
        run = run_of(organization, db.session.get(MicrosoftTenant, old.microsoft_tenant_id), **values).id
        db.session.commit()
    assert "· last run failed" in browser.get(f"/organizations/{customer['organization']}").text
    page = browser.get(f"/sync-runs/{run}").text
    assert "Undo this run…" not in page and page.count("(AADSTS7000229)") == 1


def test_P8_filters_search_and_the_csv_show_the_same(client_as, customer):
    browser = client_as(Role.READ_ONLY)
    address = f"/sync-runs/{customer['run']}"
    held = browser.get(address + "?state=held").get_data(as_text=True)
    assert "Held One" in held and "Scanner" not in held.split('id="people"')[1]
    none = browser.get(address + "?q=zzz").get_data(as_text=True)
    assert "None of 5 people matches" in none
    answer = browser.get(address + "/changes.csv?state=held")
    lines = answer.get_data(as_text=True).splitlines()
    assert answer.mimetype == "text/csv" and len(lines) == 3
    assert any(line.startswith("'=Held(Two)") for line in lines)


def test_O4_an_export_of_a_runs_changes_is_recorded(app, client_as, customer):
    answer = client_as(Role.READ_ONLY).get(f"/sync-runs/{customer['run']}/changes.csv?state=held")
    with app.app_context():
        event = db.session.query(AuditEvent).filter_by(action="exported").one()
        assert (event.object_type, event.object_id) == ("sync_run", customer["run"])
        assert event.detail == {"what": "sync_run_changes", "rows": 2, "bytes": len(answer.data)}


def test_P8_a_run_that_ends_while_it_is_watched_says_so_in_the_head_too(client_as, customer):
    text = client_as(Role.READ_ONLY).htmx(f"/sync-runs/{customer['run']}", "run_live").text
    assert 'hx-trigger="load" hx-target="#people"' in text
    head = text.partition('<span id="run-status" hx-swap-oob="innerHTML">')[2]
    assert (
        "Held" in head.partition("</span></span>")[0]
        and '<p id="page-facts" hx-swap-oob="innerHTML">' in text
    )


def test_P8_htmx_gets_the_people_only(client_as, customer):
    text = (
        client_as(Role.READ_ONLY)
        .htmx(f"/sync-runs/{customer['run']}?decision=skip", "people")
        .get_data(as_text=True)
    )
    assert text.strip().startswith("<section") and "Scanner" in text and "<html" not in text


def test_P8_the_list_filters_and_has_its_empty_states(client_as, customer):
    browser = client_as(Role.READ_ONLY)
    assert "No runs match" in browser.get("/sync-runs?status=failed").get_data(as_text=True)
    assert "Harborview Imaging" in browser.get("/sync-runs?view=attention").get_data(as_text=True)
    now = browser.htmx("/sync-runs", "runs_now").get_data(as_text=True)
    assert 'id="runs_now"' in now and "<html" not in now
    assert browser.get("/sync-runs/nope").status_code == 404
    assert browser.get("/sync-runs/running").status_code == 200


def test_G5_P8_a_run_that_microsoft_keeps_waiting_says_until_when(client_as, app, customer):
    sentence = "Microsoft asks us to wait until <time datetime="
    with app.app_context():
        organization, microsoft = (
            db.session.get(Organization, customer["organization"]),
            db.session.scalars(db.select(MicrosoftTenant)).one(),
        )
        run = run_of(organization, microsoft, trigger="manual", status="queued", started_at=None)
        microsoft.throttled_until = utcnow() + timedelta(minutes=20)
        db.session.commit()
        pages = [f"/sync-runs/{run.id}", "/sync-runs", f"/organizations/{organization.id}/user-sync/status"]
    browser = client_as(Role.READ_ONLY)
    assert [browser.get(page).text.count(sentence) for page in pages] == [1, 2, 1]
    assert not [
        words for words in ("waits for its turn:", "not throttled") if words in browser.get(pages[0]).text
    ]
    assert "Waits for its turn" not in browser.get(pages[1]).text
    with app.app_context():
        microsoft = db.session.scalars(db.select(MicrosoftTenant)).one()
        microsoft.throttled_until = utcnow() - timedelta(seconds=1)
        db.session.commit()
    assert [browser.get(page).text.count(sentence) for page in pages] == [0, 0, 0]
    assert (
        "waits for its turn:" in browser.get(pages[0]).text
        and "Waits for its turn" in browser.get(pages[1]).text
    )


def test_P8_the_first_time_says_what_this_is_for(client_as):
    assert "No sync has run yet" in client_as(Role.READ_ONLY).get("/sync-runs").get_data(as_text=True)


def test_P8_people_of_a_run_are_found_by_email(client_as, app, customer):
    with app.app_context():
        run = db.session.get(SyncRun, customer["run"])
        person = db.session.scalar(db.select(DirectoryUser).where(DirectoryUser.display_name == "Ada Obi"))
        db.session.scalar(
            db.select(Change).where(Change.display_name == "Ada Obi")
        ).object_id = person.object_id
        assert run.microsoft_tenant_id == person.microsoft_tenant_id
        db.session.commit()
    page = client_as().get(f"/sync-runs/{customer['run']}?q=ADA@harborview").get_data(as_text=True)
    assert "Ada Obi" in page.partition('id="people"')[2]
    assert "Scanner" not in page.partition('id="people"')[2]


STATES = [
    ("queued", "sync", True, {}, "it starts when its turn comes", ""),
    ("running", "sync", True, {}, "it continues if you leave", ""),
    ("succeeded", "sync", True, {}, "Nothing to do.", "/end-users"),
    ("succeeded", "sync", True, {"conflicts": 1}, "1 person is in conflict", "/conflicts"),
    ("succeeded", "undo", True, {}, "may make the same changes again", "/tenants/"),
    ("partial", "sync", True, {}, "tries the rest again by itself.", "/microsoft-tenants/"),
    ("failed", "sync", True, {}, "The sync tries again by itself.", "/microsoft-tenants/"),
    ("failed", "sync", False, {}, "The sync is off", "/tenants/"),
    ("cancelled", "sync", False, {}, "The sync is off", "/tenants/"),
    ("cancelled", "sync", True, {}, "previews what would change now", "/tenants/"),
]


@pytest.mark.parametrize(("status", "kind", "is_enabled", "counts", "words", "link"), STATES)
def test_P8_each_state_of_a_run_says_what_to_do_next(
    client_as, app, status, kind, is_enabled, counts, words, link
):
    with app.app_context():
        microsoft = customers.microsoft_tenant()
        row = customers.organization("Harborview Imaging", microsoft)
        db.session.add(UserSync(organization_id=row.id, enabled=is_enabled, filters={}, updated_at=utcnow()))
        run = run_of(row, microsoft, status=status, kind=kind, counts=counts)
        due = views.next_step(run, row.tenant_id, is_enabled=is_enabled, at=utcnow()).at
        assert (due is not None) is (is_enabled and status not in ("queued", "running"))
        db.session.commit()
        address = f"/sync-runs/{run.id}"
    text = client_as(Role.READ_ONLY).get(address).get_data(as_text=True)
    after = text.partition("What next:</strong>")[2].partition("</p>")[0]
    assert words in after and (f'href="{link}' in after or f'{link}"' in after if link else "<a" not in after)


def test_P13_who_is_out_of_a_runs_scope_is_one_click_away(client_as, app, customer):
    with app.app_context():
        microsoft = db.session.scalar(db.select(MicrosoftTenant))
        customers.directory_user(microsoft, "Bo Lind", "bo@harborview.example")
        db.session.commit()
        address = f"/microsoft-tenants/{microsoft.id}/coverage?not_in={customer['organization']}"
    browser = client_as(Role.READ_ONLY)
    assert f'href="{address}"' in browser.get(f"/sync-runs/{customer['run']}").get_data(as_text=True)
    text = browser.get(address).get_data(as_text=True)
    assert "Bo Lind" in text and "Ada Obi" not in text and "Not in Harborview Imaging" in text


def test_P8_only_what_needs_a_person_is_red_in_the_bar():
    fills = {name: fill for name, _, _, fill, _ in views.PARTS}
    assert "d" not in fills.values() and fills["linked"] != fills["updated"]


def test_P8_an_undo_shows_how_far_it_is():
    now = utcnow()
    run = SyncRun(
        kind="undo", status="running", phase="Undoing", done=3, total=9, created_at=now, started_at=now
    )
    assert [phase.state for phase in views.progress(run, now).phases] == ["did", "now"]
    assert views.changes_in_words(run) == "Restore End Users: 3 of 9"
