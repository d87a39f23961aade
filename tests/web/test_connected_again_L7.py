"""L7: a connection that is removed is nowhere to be seen, and one that is made again finds its Links."""

import pytest

from portal.clock import utcnow
from portal.extensions import db
from portal.http.listing import Listing
from portal.microsoft import listing, service
from portal.microsoft.gateway import Proof
from portal.models import DeltaCursor, DirectoryUser, EndUser, MicrosoftTenant
from portal.worker import queue
from tests.web import customers

NAME = "Kelpwater Dental"


@pytest.fixture
def removed(app, client_as):
    """A Microsoft tenant with one linked person, removed; its ids."""
    with app.app_context():
        tenant = customers.microsoft_tenant(NAME)
        tenant.checked_at = tenant.relationship_ends_at = tenant.slow_due_at = tenant.sign_ins_at = utcnow()
        row = customers.organization("Kestrel Couriers")
        user = customers.directory_user(tenant, "Ann", "ann@harborview.example")
        ann = customers.end_user(row, "Ann", user.email, source="sync", linked_to=user)
        db.session.add(
            DeltaCursor(
                microsoft_tenant_id=tenant.id,
                resource="users",
                fingerprint="",
                link="x",
                obtained_at=utcnow(),
            )
        )
        db.session.commit()
        found = {
            "tenant": tenant.id,
            "ann": ann.id,
            "directory": tenant.directory_id,
            "object": user.object_id,
            "ours": row.tenant_id,
            "organization": row.id,
        }
    browser = found["browser"] = client_as()
    answer = browser.send(f"/microsoft-tenants/{found['tenant']}/remove", {"name": NAME})
    assert answer.status_code == 303 and f"{NAME} is removed." in browser.get("/sync-runs").text
    return found


def proof(removed, name=NAME):
    return Proof(
        directory_id=removed["directory"],
        name=name,
        domains=[{"name": "k.example", "is_default": True, "is_initial": True}],
    )


def test_L7_the_mirror_goes_and_the_link_stays(app, removed):
    with app.app_context():
        assert db.session.query(DirectoryUser).count() == db.session.query(DeltaCursor).count() == 0
        ann = db.session.get(EndUser, removed["ann"])
        assert (ann.microsoft_tenant_id, ann.object_id, ann.microsoft_status) == (
            removed["tenant"],
            removed["object"],
            "active",
        )


def test_L7_it_is_in_no_list_page_or_choice_any_more(app, removed):
    browser = removed["browser"]
    pages = [
        "/",
        "/microsoft-tenants",
        "/search?q=Kelpwater",
        "/settings/microsoft",
        "/microsoft-tenants/discover",
        f"/tenants/{removed['ours']}/map",
        "/metrics",
    ]
    for page in pages:
        answer = browser.get(page)
        assert answer.status_code == 200 and NAME not in answer.text.replace("“Kelpwater”", ""), page
    recovery = browser.get(f"/organizations/{removed['organization']}/recovery").text
    assert f"{NAME} (removed)" in recovery and f'value="{removed["tenant"]}">{NAME}' not in recovery, (
        "R3 lists what was removed too"
    )
    for page in ("", "/coverage", "/remove", "/map"):
        assert browser.get(f"/microsoft-tenants/{removed['tenant']}{page}").status_code == 404, page
    with app.app_context():
        assert set(listing.counts(Listing()).values()) == {0}
        assert queue.checks_waiting(db.session(), utcnow().replace(year=utcnow().year + 1)) == []


def test_L7_connected_again_it_is_the_same_tenant_and_is_read_from_the_start(app, removed):
    with app.app_context():
        before = db.session.get_one(MicrosoftTenant, removed["tenant"])
        versions = before.fence, before.slow_fence, before.mirror_version
        row = service.add(proof(removed, "Kelpwater Group"), "global")
        db.session.commit()
        assert (row.id, row.name, row.state, row.last_synced_at) == (
            removed["tenant"],
            "Kelpwater Group",
            "connected",
            None,
        )
        assert row.read_requested_at is not None and not row.is_complete and row.sign_ins_at is None
        assert (row.fence, row.slow_fence, row.mirror_version) == versions and min(versions) > 0, (
            "nothing settled before fits again"
        )
        assert db.session.query(MicrosoftTenant).count() == 1
        assert db.session.get(EndUser, removed["ann"]).object_id == removed["object"]


def test_L7_what_is_connected_is_refused_as_before(app, removed):
    with app.app_context():
        service.add(proof(removed), "global")
        db.session.commit()
        with pytest.raises(service.Refused, match="is already connected"):
            service.add(proof(removed), "global")


def test_L7_R4_nobody_is_locked_by_a_tenant_that_is_not_mapped(app, client_as, removed):
    page = client_as("technician").get(f"/end-users/{removed['ann']}").text
    assert "Managed by Microsoft" not in page and removed["object"] in page
