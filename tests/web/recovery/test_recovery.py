"""R1, R3, P13: recovery from a wrong tenant, step by step, and who is never deleted."""

import re

import pytest

from portal.clock import utcnow
from portal.extensions import db
from portal.models import Change, EndUser, MicrosoftTenant, Organization, Role, SyncRun, Tenant, UserSync
from tests.web import customers
from tests.web.recovery.pages import address, names


def test_R3_the_page_lists_created_and_linked_and_marks_who_to_look_at(client_as, customer):
    text = client_as(Role.TECHNICIAN).get(address(customer)).get_data(as_text=True)
    assert f'value="{customer["ann"]}" aria-label="Delete Ann" checked' in text
    assert f'value="{customer["bob"]}" aria-label="Delete Bob">' in text  # edited by hand: not checked
    assert "edited by hand" in text and "KC-LT-011" in text
    assert (
        f'value="{customer["cid"]}"' not in text
        and "Cid" in text
        and f'value="{customer["old"]}"' not in text
    )


def test_R3_deleting_asks_once_more_and_then_deletes_only_what_was_confirmed(client_as, app, customer):
    browser = client_as(Role.TECHNICIAN)
    form = {"id": [customer["ann"]], "unlink": "1"}
    page = browser.send(address(customer), form)
    assert page.status_code == 200 and "Delete 1 and unlink 2" in page.get_data(as_text=True)
    assert 'name="confirmed" value="1"' in page.get_data(as_text=True)
    assert names(app) == ["Ann", "Bob", "Cid", "Old"]
    assert browser.send(address(customer), {**form, "confirmed": "1"}).status_code == 303
    assert names(app) == ["Bob", "Cid", "Old"]
    with app.app_context():
        assert not db.session.scalars(db.select(EndUser).where(EndUser.object_id.is_not(None))).all()


@pytest.mark.parametrize("who", ["cid", "old"])
def test_R3_nobody_who_was_here_before_is_ever_deleted(client_as, app, customer, who):
    form = {"id": [customer["ann"], customer[who]], "confirmed": "2"}
    answer = client_as().send(address(customer), form)
    assert answer.status_code == 422 and "Nothing was deleted." in answer.get_data(as_text=True)
    assert names(app) == ["Ann", "Bob", "Cid", "Old"]


def test_R1_while_the_sync_is_on_the_first_step_is_to_stop_it(client_as, app, customer):
    with app.app_context():
        db.session.scalar(db.select(UserSync)).enabled = True
        db.session.commit()
    browser = client_as()
    text = browser.get(address(customer)).get_data(as_text=True)
    assert "Disable User Sync…" in text and "Stop the sync first." in text
    answer = browser.send(address(customer), {"id": [customer["ann"]], "confirmed": "1"})
    assert answer.status_code == 409 and len(names(app)) == 4
    assert browser.send(address(customer, "/unmap")).status_code == 409


def test_R1_mapping_the_right_tenant_is_done_here_too(client_as, app, customer):
    browser = client_as(Role.TECHNICIAN)
    assert (
        browser.send(address(customer, "/remap"), {"microsoft_tenant_id": customer["right"]}).status_code
        == 303
    )
    with app.app_context():
        assert db.session.get(Organization, customer["id"]).tenant.microsoft_tenant_id == customer["right"]
        assert len(names(app)) == 4  # R4: End Users keep their data
    assert browser.send(address(customer, "/unmap")).status_code == 303
    with app.app_context():
        other = Tenant(name="Other", microsoft_tenant_id=customer["wrong"], created_at=utcnow())
        db.session.add(other)
        db.session.commit()
        other_id = other.id
    assert browser.send(address(customer, "/move"), {"tenant_id": other_id}).status_code == 303
    with app.app_context():
        assert db.session.get(Organization, customer["id"]).tenant_id == other_id
    assert browser.send(address(customer, "/move"), {"tenant_id": "nope"}).status_code == 404


def test_read_only_sees_why_there_are_no_buttons(client_as, customer):
    browser = client_as(Role.READ_ONLY)
    text = browser.get(address(customer)).get_data(as_text=True)
    assert "Your role is Read-only" in text and "Delete the checked people" not in text
    assert browser.send(address(customer), {"id": [customer["ann"]], "confirmed": "1"}).status_code == 403


def test_checking_nobody_is_said(client_as, customer):
    answer = client_as().send(address(customer), {})
    assert answer.status_code == 422 and "Check at least one person" in answer.get_data(as_text=True)


def test_P13_coverage_tells_none_one_and_several(client_as, app, customer):
    with app.app_context():
        wrong = db.session.get(MicrosoftTenant, customer["wrong"])
        customers.directory_user(wrong, "Nobody Takes", "n@harborview.example")
        db.session.commit()
    browser = client_as(Role.READ_ONLY)
    base = f"/microsoft-tenants/{customer['wrong']}/coverage"
    text = browser.get(base).get_data(as_text=True)
    assert "Kestrel Couriers" in text and "Nobody Takes" in text
    none = browser.htmx(base + "?taken=none", "coverage_table").get_data(as_text=True)
    assert "Nobody Takes" in none and "Kestrel Couriers" not in none and "<html" not in none
    assert "None of 4 users matches" in browser.get(base + "?taken=several").get_data(as_text=True)
    assert browser.get("/microsoft-tenants/nope/coverage").status_code == 404


def test_R3_whom_the_right_tenant_took_over_is_marked_and_keeps_that_link(client_as, app, customer):
    with app.app_context():
        right = db.session.get(MicrosoftTenant, customer["right"])
        theirs = customers.directory_user(right, "Ann", "ann@kestrel.example")
        ann = db.session.get(EndUser, customer["ann"])
        run = SyncRun(
            organization_id=customer["id"],
            microsoft_tenant_id=customer["wrong"],
            trigger="initial",
            lane="hourly",
            status="succeeded",
            created_at=utcnow(),
            started_at=utcnow(),
        )
        db.session.add(run)
        db.session.flush()
        ann.created_by_run_id = run.id
        ann.object_id, ann.microsoft_tenant_id = theirs.object_id, right.id
        db.session.commit()
    client = client_as(Role.TECHNICIAN)
    text = client.get(address(customer, f"?from={customer['wrong']}")).get_data(as_text=True)
    assert "now linked to another Microsoft tenant" in text
    assert not re.search(rf'value="{customer["ann"]}"[^>]* checked', text), (
        "nobody deletes them by not looking"
    )
    client.send(address(customer), {"from": customer["wrong"], "unlink": "1", "confirmed": "0"})
    with app.app_context():
        linked = db.session.scalars(db.select(EndUser).where(EndUser.object_id.is_not(None)))
        left = {row.id: row.microsoft_tenant_id for row in linked}
    assert left == {customer["ann"]: customer["right"]}


def test_R3_a_wrong_tenant_that_was_removed_already_can_still_be_recovered_from(client_as, app, customer):
    """Its people are linked to it still, and its runs remember whom they created and what they wrote over (L7)."""
    with app.app_context():
        run = SyncRun(
            organization_id=customer["id"],
            microsoft_tenant_id=customer["wrong"],
            trigger="manual",
            status="succeeded",
            created_at=utcnow(),
            started_at=utcnow(),
        )
        db.session.add(run)
        db.session.flush()
        for who in ("ann", "bob"):
            db.session.get(EndUser, customer[who]).created_by_run_id = run.id
        fields = [{"field": "job_title", "old": "Driver", "new": "Nurse"}]
        db.session.get(EndUser, customer["cid"]).job_title = "Nurse"
        db.session.add(
            Change(
                run_id=run.id,
                organization_id=customer["id"],
                end_user_id=customer["cid"],
                object_id="cid",
                decision="update",
                reason="changed",
                fields=fields,
                at=utcnow(),
            )
        )
        db.session.get(Organization, customer["id"]).tenant.microsoft_tenant_id = None
        db.session.commit()
    browser = client_as()
    removal = browser.send(f"/microsoft-tenants/{customer['wrong']}/remove", {"name": "Wrong"})
    assert removal.status_code == 303
    text = browser.get(address(customer)).text
    assert "Wrong (removed)" in text and "created 2 and linked 1 who was here before" in text
    form = {"id": [customer["ann"], customer["bob"]], "unlink": "1", "from": customer["wrong"]}
    asked = browser.send(address(customer), form)
    assert "Delete 2 and unlink 1" in asked.text and "what its syncs overwrote is restored" in asked.text
    assert browser.send(address(customer), {**form, "confirmed": "2"}).status_code == 303
    assert names(app) == ["Cid", "Old"]
    with app.app_context():
        cid = db.session.get(EndUser, customer["cid"])
        assert (cid.job_title, cid.is_linked) == ("Driver", False)
    assert "Nobody here was created or is linked by" in browser.get(address(customer)).text
