"""P8: sync activity and one run."""

import re
from datetime import timedelta

import pytest

from portal.clock import utcnow
from portal.conflicts import service as conflicts
from portal.engine.records import SECTIONS
from portal.extensions import db
from portal.models import (
    AuditEvent,
    Change,
    Conflict,
    DirectoryUser,
    MicrosoftTenant,
    Organization,
    Role,
    SubscribedSku,
    SyncRun,
    Tenant,
    UserSync,
)
from portal.models.customers import no_link
from portal.runs import views
from tests.web import customers

ALL_TWO = {"everybody": "1", "count": "2"}


def run_of(organization, microsoft, **values):
    now = utcnow()
    row = SyncRun(
        organization_id=organization.id,
        microsoft_tenant_id=microsoft.id,
        **{
            "trigger": "hourly",
            "status": "succeeded",
            "created_at": now,
            "started_at": now,
            "started_by": "schedule",
            **values,
        },
    )
    db.session.add(row)
    db.session.flush()
    return row


def change_of(run, name, decision="update", **values):
    row = Change(
        run_id=run.id,
        organization_id=run.organization_id,
        object_id=name.casefold(),
        display_name=name,
        decision=decision,
        **{"reason": "fields_differ", "at": utcnow(), **values},
    )
    db.session.add(row)
    return row


@pytest.fixture
def customer(app):
    """A held run of an enabled sync with one update, one skip, one conflict, and a hold of two."""
    with app.app_context():
        microsoft = customers.microsoft_tenant()
        row = customers.organization("Harborview Imaging", microsoft)
        ada = customers.directory_user(microsoft, "Ada Obi", "ada@harborview.example")
        person = customers.end_user(row, "Ada Obi", "ada@harborview.example", linked_to=ada)
        run = run_of(
            row,
            microsoft,
            status="held",
            finished_at=utcnow() + timedelta(seconds=47),
            held={"kind": "disable", "count": 2, "state": "waiting"},
            counts={
                "read": 10,
                "in_scope": 4,
                "out_of_scope": 5,
                "skipped": 1,
                "created": 0,
                "linked": 0,
                "updated": 1,
                "unchanged": 0,
                "disabled": 0,
                "enabled": 0,
                "conflicts": 1,
                "held": 2,
                "gone": 0,
            },
        )
        change_of(
            run,
            "Ada Obi",
            end_user_id=person.id,
            fields=[{"field": "job_title", "old": "<b>Clerk</b>", "new": "Lead"}],
        )
        change_of(run, "Scanner", "skip", reason="no_email")
        change_of(run, "Twin", "conflict", reason="duplicate_remote_email")
        change_of(
            run,
            "Held One",
            "mark_disabled",
            reason="account_disabled",
            state="held",
            hold_key="1",
        )
        change_of(
            run,
            "=Held(Two)",
            "mark_disabled",
            reason="account_disabled",
            state="held",
            hold_key="2",
        )
        db.session.add(
            UserSync(
                organization_id=row.id,
                enabled=True,
                filters={name: {"all": True, "values": []} for name in SECTIONS},
                updated_at=utcnow(),
                hold_run_id=run.id,
            )
        )
        conflict = Conflict(
            organization_id=row.id,
            key="k",
            kind="duplicate_remote_email",
            reason="Two have it.",
            object_id="twin",
            display_name="Twin",
            email="ada@harborview.example",
            run_id=run.id,
            created_at=utcnow(),
        )
        db.session.add(conflict)
        db.session.commit()
        return {"organization": row.id, "run": run.id, "conflict": conflict.id, "person": person.id}


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
    assert "No run fits" in browser.get("/sync-runs?status=failed").get_data(as_text=True)
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
    assert again.status_code == 409 and "Nothing of this run is held back" in again.get_data(as_text=True)


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
    assert "Dismissed by" not in page and "Nothing of it was applied." in page


def test_G1_a_hold_that_a_later_run_replaced_is_not_said_to_be_dismissed(client_as, app, customer):
    """Nobody dismissed it; the page leads to the run that decided anew, as long as that is kept."""
    address, browser = f"/sync-runs/{customer['run']}", client_as()
    for later in (customer["run"], "forgotten"):
        with app.app_context():
            run = db.session.get(SyncRun, customer["run"])
            run.status, run.held = "succeeded", {**run.held, "state": "dismissed", "replaced_by": later}
            db.session.commit()
        text = browser.get(address).get_data(as_text=True)
        assert "a later run decided anew" in text and "that was dismissed" not in text
        assert ("See that run" in text) is (later != "forgotten")


def test_R5_undo_lists_first_and_then_queues(client_as, app, customer):
    address = f"/sync-runs/{customer['run']}/undo"
    with app.app_context():
        person = db.session.get(customers.EndUser, customer["person"])
        person.job_title = "Lead"
        db.session.commit()
    text = client_as(Role.TECHNICIAN).get(address).get_data(as_text=True)
    assert "Restored" in text and "Ada Obi" in text and "Job Title" in text
    with app.app_context():
        assert db.session.scalar(db.select(db.func.count()).select_from(SyncRun)) == 1
    answer = client_as().send(address)
    with app.app_context():
        undo = db.session.scalar(db.select(SyncRun).where(SyncRun.kind == "undo"))
        assert answer.location.endswith(undo.id) and undo.undoes_run_id == customer["run"]
    assert client_as(Role.READ_ONLY).get(address).status_code == 403


def test_R5_an_undo_that_deletes_says_so_and_names_each_spared_person_once(client_as, app, customer):
    address = f"/sync-runs/{customer['run']}/undo"
    browser = client_as()
    assert "deleted" not in browser.get(address).get_data(as_text=True).partition('id="content"')[2]
    with app.app_context():
        run = db.session.get(SyncRun, customer["run"])
        organization = db.session.get(Organization, run.organization_id)
        for name, notes in (("Nina New", ""), ("Norbert Noted", "Has the keys.")):
            person = customers.end_user(organization, name, f"{name.split()[0].lower()}@harborview.example")
            change_of(run, name, "create", end_user_id=person.id, undo={"created": True}, state="applied")
            person.notes, person.edited_at = notes, utcnow() + timedelta(minutes=1) if notes else None
        db.session.commit()
    text = browser.get(address).get_data(as_text=True)
    assert "1 End User that this run created is deleted." in text and "That cannot be undone." in text
    assert "Undo and delete 1 End User</button>" in text
    deleted = text.partition('aria-label="Deleted"')[2].partition("</ul>")[0]
    assert "Nina New" in deleted and "Norbert Noted" not in deleted
    spared = text.partition('aria-label="Not restored"')[2].partition("</ul>")[0]
    assert spared.count("Norbert Noted") == 1 and "Edited since; Has notes" in spared


def test_R5_a_run_can_be_undone_after_its_microsoft_tenant_was_removed(client_as, app, customer):
    """Nothing is left in whose queue the undo could wait."""
    with app.app_context():
        person = db.session.get(customers.EndUser, customer["person"])
        person.job_title = "Lead"
        for name, value in no_link().items():
            setattr(person, name, value)
        db.session.flush()
        db.session.execute(db.update(Tenant).values(microsoft_tenant_id=None))
        db.session.execute(db.delete(DirectoryUser))
        db.session.execute(db.delete(MicrosoftTenant))
        db.session.commit()
    answer = client_as(Role.TECHNICIAN).send(f"/sync-runs/{customer['run']}/undo")
    assert answer.status_code == 303
    with app.app_context():
        undo = db.session.scalar(db.select(SyncRun).where(SyncRun.kind == "undo"))
        assert (undo.status, undo.done) == ("succeeded", 1)
        assert db.session.get(customers.EndUser, customer["person"]).job_title != "Lead"
        event = db.session.query(AuditEvent).filter_by(action="sync_run_finished").one()
        assert (event.object_id, event.detail["status"]) == (undo.id, "succeeded")
        address = f"/sync-runs/{undo.id}"
    reader = client_as(Role.READ_ONLY)
    shown = reader.get(address).text
    assert "0 End Users that the run had created were deleted; 1 other was put back" in shown
    assert "in scope" not in shown and "1 undone" in reader.get("/sync-runs").text


def test_M7_a_conflict_is_settled_with_link_or_ignore(client_as, app, customer):
    address = f"/organizations/{customer['organization']}/conflicts"
    reader = client_as(Role.READ_ONLY)
    told = reader.get(address).text
    assert (
        "Two Microsoft users have this email." in told
        and "A technician or an administrator settles it." in told
    )
    browser = client_as(Role.TECHNICIAN)
    assert customer["person"] in browser.get(address).get_data(as_text=True)
    resolve = f"/conflicts/{customer['conflict']}/resolve"
    assert browser.send(resolve, {"action": "link"}).status_code == 422
    assert browser.send(resolve, {"action": "ignore", "end_user_id": customer["person"]}).status_code == 303
    with app.app_context():
        assert db.session.get(Conflict, customer["conflict"]).resolution == "ignore"
    assert "No open conflicts" in browser.get(address).get_data(as_text=True)
    settled, reopen = address + "?state=resolved", f"/conflicts/{customer['conflict']}/reopen"
    assert (
        "Ignored until one side changes" in browser.get(settled).text
        and f'action="{reopen}"' in browser.get(settled).text
    )
    assert reopen not in reader.get(settled).text


def test_M7_an_ignored_conflict_can_be_opened_again(client_as, app, customer):
    address, reopen = (
        f"/organizations/{customer['organization']}/conflicts",
        f"/conflicts/{customer['conflict']}/reopen",
    )
    browser = client_as(Role.TECHNICIAN)
    refused = browser.send(reopen)
    assert refused.status_code == 409 and "Only a conflict that somebody settled" in refused.text
    browser.send(f"/conflicts/{customer['conflict']}/resolve", {"action": "ignore"})
    answer = browser.send(reopen)
    assert (answer.status_code, answer.headers["Location"]) == (303, address)
    assert "Two Microsoft users have this email." in browser.get(address).text
    with app.app_context():
        row = db.session.get(Conflict, customer["conflict"])
        assert (row.resolution, row.resolved_at, row.resolved_by) == (None, None, "")
        assert db.session.query(AuditEvent).filter_by(action="conflict_reopened").one().detail == {
            "kind": row.kind
        }


def test_M7_a_settled_conflict_says_who_was_chosen(client_as, app, customer):
    browser = client_as(Role.TECHNICIAN)
    with app.app_context():
        organization = db.session.get(Organization, customer["organization"])
        chosen = customers.end_user(organization, "Bo Obi", "bo@harborview.example").id
        db.session.commit()
    answer = browser.send(
        f"/conflicts/{customer['conflict']}/resolve", {"action": "link", "end_user_id": chosen}
    )
    assert answer.status_code == 303
    settled = f"/organizations/{customer['organization']}/conflicts?state=resolved"
    assert f'<a href="/end-users/{chosen}"><bdi>Bo Obi</bdi></a>, who is meant' in browser.get(settled).text
    with app.app_context():
        row = db.session.get(Conflict, customer["conflict"])
        assert conflicts.documents([row])[0]["resolved_end_user_id"] == chosen
        db.session.delete(db.session.get(customers.EndUser, chosen))
        db.session.commit()
    assert "Linked to an End User who was deleted since" in browser.get(settled).text


def clash(app, customer, **values):
    """The conflict of the customer as another one; gives the id of Kim, whom nobody is linked to."""
    with app.app_context():
        organization = db.session.get(Organization, customer["organization"])
        kim = customers.end_user(organization, "Kim Obi", "kim@harborview.example").id
        row = db.session.get(Conflict, customer["conflict"])
        for name, value in values.items():
            setattr(row, name, value)
        db.session.commit()
        return kim


def test_M7_W4_in_a_clash_of_addresses_nobody_is_chosen_beforehand_and_the_own_link_comes_first(
    client_as, app, customer
):
    kim = clash(
        app, customer, kind="email_clash", email="kim@harborview.example", end_user_id=customer["person"]
    )
    with app.app_context():
        person = db.session.get(customers.EndUser, customer["person"])
        db.session.get(Conflict, customer["conflict"]).object_id = person.object_id
        db.session.commit()
    browser = client_as(Role.TECHNICIAN)
    page = browser.get(f"/organizations/{customer['organization']}/conflicts").text
    assert f'value="{customer["person"]}">' in page and " checked" not in page
    assert "It keeps the address it has here." in page
    assert f'value="{kim}"' in page and "Ada Obi is unlinked." in page
    resolve, reopen = (f"/conflicts/{customer['conflict']}/{verb}" for verb in ("resolve", "reopen"))
    assert browser.send(resolve, {"action": "link", "end_user_id": kim}).status_code == 303
    assert links(app) == {}, "the next run links Kim"
    assert browser.send(reopen).status_code == 303
    assert list(links(app).values()) == ["Ada Obi"]
    assert browser.send(resolve, {"action": "link", "end_user_id": customer["person"]}).status_code == 303
    assert list(links(app).values()) == ["Ada Obi"], "keeps the address it has"


def links(app):
    """object id → name of who is linked to it."""
    with app.app_context():
        rows = db.session.scalars(
            db.select(customers.EndUser).where(customers.EndUser.object_id.is_not(None))
        )
        return {row.object_id: row.display_name for row in rows}


@pytest.fixture
def twin(app, customer):
    """The conflict's Microsoft user in the mirror, and a conflict of the other side's own about the same address."""
    with app.app_context():
        microsoft = db.session.scalar(db.select(MicrosoftTenant))
        user = customers.directory_user(microsoft, "Twin", "ada@harborview.example", enabled=False)
        user.license_sku_ids, user.created_at = ["visio"], utcnow() - timedelta(days=700)
        db.session.add(SubscribedSku(microsoft_tenant_id=microsoft.id, sku_id="visio", name="Visio, whole"))
        ada = db.session.get(customers.EndUser, customer["person"])
        row = db.session.get(Conflict, customer["conflict"])
        row.object_id, row.other_object_id = user.object_id, ada.object_id
        other = Conflict(
            organization_id=row.organization_id,
            key="other",
            kind="email_linked_to_other",
            reason="Ada's own.",
            object_id=ada.object_id,
            created_at=utcnow(),
        )
        db.session.add(other)
        db.session.commit()
        return {"object": user.object_id, "ada": ada.object_id, "other": other.id}


def test_M7_the_page_and_the_api_say_of_both_sides_what_it_takes_to_decide(client_as, app, customer, twin):
    page = client_as().get(f"/organizations/{customer['organization']}/conflicts").get_data(as_text=True)
    this, other = (
        page.partition("<bdi>Twin</bdi>")[2].partition("</article>")[0].split('<div class="rc-side')[2:]
    )
    assert (
        "<dd>No: disabled in Microsoft</dd>" in this
        and "<dd>Visio, whole</dd>" in this
        and "Nobody here" in this
    )
    assert "ada@harborview.example" in other and "<dd>Yes</dd>" in other and "<dd>None</dd>" in other
    assert f'<a href="/end-users/{customer["person"]}"><bdi>Ada Obi</bdi></a>' in other
    assert (
        "Taken by the sync" in other
        and "takes this one, because it is linked already" in other
        and "Taken by" not in this
    )
    with app.app_context():
        found = conflicts.documents([db.session.get(Conflict, customer["conflict"])])[0]["sides"]
    assert [(side["object_id"], side["enabled"], side["end_user_id"]) for side in found] == [
        (twin["object"], False, None),
        (twin["ada"], True, customer["person"]),
    ]
    assert found[0]["licenses"] == [{"sku_id": "visio", "name": "Visio, whole"}] and found[0]["created_at"]


def test_M7_link_moves_the_link_from_the_other_side_in_one_step_and_both_can_be_taken_back(
    client_as, app, customer, twin
):
    browser = client_as(Role.TECHNICIAN)
    page = browser.get(f"/organizations/{customer['organization']}/conflicts").text
    assert "Ada Obi leaves ada@harborview.example." in page
    resolve, reopen = (f"/conflicts/{customer['conflict']}/{verb}" for verb in ("resolve", "reopen"))
    assert browser.send(resolve, {"action": "link", "end_user_id": customer["person"]}).status_code == 303
    with app.app_context():
        assert db.session.get(Conflict, twin["other"]).resolution == "ignore", (
            "the other side's own is settled with it"
        )
        assert db.session.get(customers.EndUser, customer["person"]).object_id is None
    assert browser.send(reopen).status_code == 303
    with app.app_context():
        assert {row.resolution for row in db.session.scalars(db.select(Conflict))} == {None}
        ada = db.session.get(customers.EndUser, customer["person"])
        assert (ada.object_id, ada.microsoft_status, ada.applied_hash) == (twin["ada"], "active", "")


def test_M7_the_side_that_the_sync_takes_is_the_plans_own_answer(client_as, app, customer, twin):
    """Neither is linked: the enabled one goes first, then the older; what the page says follows the mirror."""
    with app.app_context():
        db.session.get(customers.EndUser, customer["person"]).object_id = None
        db.session.get(customers.EndUser, customer["person"]).microsoft_tenant_id = None
        db.session.commit()
    browser, address = client_as(), f"/organizations/{customer['organization']}/conflicts"
    text = browser.get(address).text
    assert "because the other one is disabled" in text.partition('<div class="rc-side rc-side-taken">')[2]
    with app.app_context():
        for user in db.session.scalars(
            db.select(DirectoryUser).where(DirectoryUser.object_id.in_([twin["object"], twin["ada"]]))
        ):
            user.account_enabled = True
            user.created_at = utcnow() - timedelta(days=10 if user.object_id == twin["object"] else 20)
        db.session.commit()
    assert "because it was created first" in browser.get(address).text


def test_M7_many_of_one_kind_settle_together_after_a_question_that_names_them(client_as, app, customer):
    with app.app_context():
        for number in range(40):
            row = Conflict(
                organization_id=customer["organization"], key=f"k{number}", kind="duplicate_remote_email"
            )
            row.reason, row.object_id, row.created_at = "r", f"twin-{number:02}", utcnow()
            row.display_name = f"Twin {number:02}"
            db.session.add(row)
        clash = Conflict(
            organization_id=customer["organization"], key="c", kind="email_clash", reason="r", object_id="c"
        )
        clash.created_at = utcnow()
        db.session.add(clash)
        db.session.commit()
        clash_id = clash.id
    browser, address = client_as(Role.TECHNICIAN), f"/organizations/{customer['organization']}/conflicts"
    assert "New address is in use" in browser.get(address).text and "1–25 of" in browser.get(address).text
    form = {"action": "ignore", "all_filtered": "1", "filtered": "?kind=duplicate_remote_email"}
    asked = browser.send(f"{address}/settle", form)
    assert "Ignore 41 conflicts?" in asked.text and "Twin 00" in asked.text and "Twin 39" in asked.text
    ids = re.findall(r'name="id" value="([^"]+)"', asked.text)
    assert len(ids) == 41 and clash_id not in ids
    with app.app_context():
        assert db.session.query(Conflict).filter_by(resolution=None).count() == 42, "asking changes nothing"
    done = browser.send(f"{address}/settle", {"action": "ignore", "sure": "41", "id": ids})
    assert done.status_code == 303
    with app.app_context():
        assert [row.id for row in db.session.query(Conflict).filter_by(resolution=None)] == [clash_id]
        assert db.session.query(AuditEvent).filter_by(action="conflict_resolved").count() == 41
    assert browser.send(f"{address}/settle", {"action": "ignore"}).status_code == 422
    assert browser.send(f"{address}/settle", {"action": "destroy", "id": [clash_id]}).status_code == 422
    assert (
        client_as(Role.READ_ONLY)
        .send(f"{address}/settle", {"action": "ignore", "id": [clash_id]})
        .status_code
        == 403
    )


def test_M7_linking_many_leaves_out_who_is_not_clear(client_as, app, customer, twin):
    with app.app_context():
        unclear = Conflict(
            organization_id=customer["organization"], key="u", kind="duplicate_remote_email", reason="r"
        )
        unclear.object_id, unclear.created_at = "nobody", utcnow()
        db.session.add(unclear)
        db.session.commit()
        ids = [customer["conflict"], unclear.id]
    browser, address = client_as(Role.TECHNICIAN), f"/organizations/{customer['organization']}/conflicts"
    asked = browser.send(f"{address}/settle", {"action": "link", "id": ids}).text
    assert (
        "Link 1 conflict?" in asked
        and "linked to Ada Obi" in asked
        and "1 conflict is left out" in " ".join(asked.split())
    )
    assert browser.send(f"{address}/settle", {"action": "link", "id": ids, "sure": "2"}).status_code == 200, (
        "asked anew"
    )
    assert browser.send(f"{address}/settle", {"action": "link", "id": ids, "sure": "1"}).status_code == 303
    with app.app_context():
        found = {row.id: row.resolution for row in db.session.query(Conflict)}
        assert (found[customer["conflict"]], found[ids[1]]) == ("link", None)


def test_M7_a_link_that_somebody_else_has_by_now_is_not_given_back(client_as, app, customer, twin):
    browser = client_as(Role.TECHNICIAN)
    browser.send(
        f"/conflicts/{customer['conflict']}/resolve", {"action": "link", "end_user_id": customer["person"]}
    )
    with app.app_context():
        organization = db.session.get(Organization, customer["organization"])
        ada = db.session.scalar(db.select(DirectoryUser).where(DirectoryUser.object_id == twin["ada"]))
        customers.end_user(organization, "Newcomer", "new@harborview.example", linked_to=ada)
        db.session.commit()
    assert browser.send(f"/conflicts/{customer['conflict']}/reopen").status_code == 303
    assert links(app) == {twin["ada"]: "Newcomer"}


def test_M7_before_the_first_read_nobody_knows_whom_a_conflict_is_about(client_as, app, customer):
    with app.app_context():
        db.session.scalar(db.select(MicrosoftTenant)).last_synced_at = None
        db.session.commit()
    resolve = f"/conflicts/{customer['conflict']}/resolve"
    answer = client_as(Role.TECHNICIAN).send(resolve, {"action": "link", "end_user_id": customer["person"]})
    assert answer.status_code == 503 and "first read" in answer.text
    with app.app_context():
        assert db.session.get(Conflict, customer["conflict"]).resolution is None


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
    ("queued", "sync", True, {}, "it starts when its turn has come", ""),
    ("running", "sync", True, {}, "it goes on, also when you leave", ""),
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


def test_M7_open_conflicts_are_said_where_the_sync_is(client_as, app, customer):
    browser = client_as(Role.READ_ONLY)
    way = f'href="/organizations/{customer["organization"]}/conflicts"'
    with app.app_context():
        tenant = db.session.get(Organization, customer["organization"]).tenant_id
    pages = (f"/organizations/{customer['organization']}", f"/tenants/{tenant}")
    for address in pages:
        assert way in browser.get(address).get_data(as_text=True)
    with app.app_context():
        db.session.get(Conflict, customer["conflict"]).resolved_at = utcnow()
        db.session.commit()
    for address in pages:
        assert way not in browser.get(address).get_data(as_text=True)


def test_P8_only_what_needs_a_person_is_red_in_the_bar():
    fills = {name: fill for name, _, _, fill, _ in views.PARTS}
    assert "d" not in fills.values() and fills["linked"] != fills["updated"]


def test_P8_an_undo_shows_how_far_it_is():
    now = utcnow()
    run = SyncRun(
        kind="undo", status="running", phase="Undoing", done=3, total=9, created_at=now, started_at=now
    )
    assert [phase.state for phase in views.progress(run, now).phases] == ["did", "now"]
    assert views.changes_in_words(run) == "Put End Users back: 3 of 9"
