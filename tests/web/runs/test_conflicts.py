"""M7: conflicts on their page, settled one at a time or many together, and opened again."""

import re

from portal.clock import utcnow
from portal.conflicts import service as conflicts
from portal.extensions import db
from portal.models import AuditEvent, Conflict, DirectoryUser, MicrosoftTenant, Organization, Role
from tests.web import customers
from tests.web.runs.rows import clash, links


def test_M7_a_conflict_is_settled_with_link_or_ignore(client_as, app, customer):
    address = f"/organizations/{customer['organization']}/conflicts"
    reader = client_as(Role.READ_ONLY)
    told = reader.get(address).text
    assert (
        "Two Microsoft users have this email." in told
        and "Ask a technician or an administrator to settle it." in told
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
    assert refused.status_code == 409 and "Only a conflict that someone settled" in refused.text
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
