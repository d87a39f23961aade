"""M7: both sides of a conflict, and what settling one does to the other."""

from datetime import timedelta

from portal.clock import utcnow
from portal.conflicts import service as conflicts
from portal.extensions import db
from portal.models import Conflict, DirectoryUser, Role
from tests.web import customers


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
