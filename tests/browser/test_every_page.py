"""U13: axe and the width of every page, with something on it, in light and dark, wide and on a phone."""

import pytest
from axe_playwright_python.base import AXE_SCRIPT

from portal import audit
from portal.extensions import db
from portal.filter_templates import documents
from portal.imports import runner
from portal.models import FilterTemplate, MicrosoftTenant, Organization, RolloutRow
from portal.rollouts import beginnings
from portal.rollouts import service as rollouts
from portal.transactions import begin_write
from tests.browser.accessibility import looked_at
from tests.system.conftest import wait_until

NOWHERE = "/nowhere"
PARTS = 4


def kept(portal, organization, status, text):
    """The id of an import of this file: one that somebody is about to look at, or one that is over."""
    app = portal.api.application
    with app.app_context(), runner.own_transactions():
        sessions = app.extensions["rollcall"].sessions
        wanted = {
            "organization_id": organization,
            "kind": "end_users",
            "data": text.encode(),
            "file_name": "people.csv",
        }
        if status == "review":
            return runner.store(sessions, status="review", **wanted)
        import_id = runner.store(sessions, status="queued", owner="test", **wanted)
        runner.run(sessions, import_id, "test")
        return import_id


def followed_template(portal, organization):
    """The address of a template that an Organization follows, and of roll-outs at each of their steps."""
    members = {
        name: {"all": True, "values": []} for name in ("user_type", "domain", "office_location", "department")
    }
    body = {"name": "Members", "filters": {**members, "group": {"all": True, "name_patterns": []}}}
    template = portal.api.post("/filter-templates", body)
    ask = {"organization_ids": [organization], "template_id": template["id"]}
    portal.api.post("/user-syncs/bulk", ask, status=202)
    app, connected = portal.api.application, portal.another_microsoft_tenant()["id"]
    with app.app_context(), audit.acting_as(audit.Actor("test", "page")):
        begin_write(db.session())
        row = db.session.get_one(FilterTemplate, template["id"])
        other = db.session.get_one(Organization, portal.organization_id)
        changed = beginnings.begin_template_change(
            row, "Members of Sales", documents.body_of(row) | {"only_licensed": True}
        )
        chosen, previewed = beginnings.begin_organizations([other]), beginnings.begin_organizations([other])
        rollouts.set_up(previewed, row, documents.body_of(row))
        matched = beginnings.begin_tenants([db.session.get_one(MicrosoftTenant, connected)])
        ids = [one.id for one in (changed, chosen, previewed, matched)]
        db.session.commit()
        app.extensions["rollcall"].wake()

    def is_idle():
        with app.app_context():
            return (
                not db.session.query(RolloutRow)
                .filter(RolloutRow.rollout_id.in_(ids), RolloutRow.status.in_(rollouts.BUSY))
                .count()
            )

    wait_until(is_idle, "the previews of the roll-outs")
    return f"/settings/filter-templates/{template['id']}", [f"/rollouts/{one}" for one in ids]


@pytest.fixture(scope="module")
def pages(portal):
    """The address of every page, with something on it: a hold, a conflict, an Asset, a pin, somebody of the sync.

    Over 50 lines: one page a line.
    """
    names = [f"Walter Walked {number}" for number in range(5)]
    organization, ids = portal.synced("Walked", "Walking", *names, hold={"percent": 10, "minimum": 2})
    first = portal.api.everything(f"/organizations/{organization}/user-sync/runs")[0]["id"]
    person = portal.person(organization, names[0])
    exception = {"kind": "pin", "end_user_id": person, "field": "job_title", "reason": "Ours is right"}
    portal.api.post(f"/organizations/{organization}/exceptions", exception)
    asset = {"name": "LAPTOP-7", "mac_addresses": ["02-00-00-00-00-07"], "end_user_id": person}
    asset_id = portal.api.post(f"/organizations/{organization}/assets", asset)["id"]
    imported = kept(portal, organization, "succeeded", "email,display_name\nida@hand.example,Ida\nbad,Bad\n")
    reviewed = kept(
        portal, organization, "review", "email,display_name,notes\nida@hand.example,,Hello\nbad,Bad,\n"
    )
    for id_ in ids[2:]:
        portal.control.disable_user(portal.home.id, id_)
    for word in ("One", "Two"):
        portal.control.create_user(
            portal.home.id,
            displayName=f"Dora {word}",
            userPrincipalName=f"dora.{word.lower()}@{portal.home.domains[0]}",
            mail=f"dora@{portal.home.domains[0]}",
            department="Walking",
        )
    held = portal.api.synced(organization)
    assert held["status"] == "held", held
    assert portal.api.everything(f"/organizations/{organization}/conflicts") != []
    template, rollout = followed_template(portal, portal.organization("Following"))
    own, runs = f"/organizations/{organization}", f"/sync-runs/{first}"
    directory = f"/microsoft-tenants/{portal.home_id}"
    tenant = f"/tenants/{portal.tenant_id}"
    return [
        "/",
        "/attention",
        "/attention?kind=conflicts",
        "/search?q=a",
        "/account",
        NOWHERE,
        "/people",
        "/people?mfa=false&columns=email,tags",
        "/people/views/new?query=q%3Da",
        "/help",
        "/help/administrator",
        "/organizations",
        "/organizations/new",
        own,
        f"{own}/edit",
        f"{own}/history",
        f"{own}/exceptions",
        f"{own}/conflicts",
        f"{own}/recovery",
        f"{own}/assets",
        f"{own}/assets/new",
        f"{own}/assets/import",
        f"/assets/{asset_id}",
        f"/assets/{asset_id}/delete",
        f"{own}/end-users",
        f"{own}/end-users/new",
        f"{own}/end-users/import",
        f"/imports/{imported}",
        f"/imports/{imported}/undo",
        f"/imports/{reviewed}",
        f"/end-users/{person}",
        f"/end-users/{person}/why",
        f"{own}/end-users/why?user=dora@{portal.home.domains[0]}",
        f"/end-users/{person}/delete",
        f"/end-users/{person}/unlink",
        f"/end-users/{person}/pin/city",
        f"{own}/user-sync",
        f"{own}/user-sync/status",
        f"{own}/user-sync/disable",
        f"/organizations/{portal.organization_id}/user-sync",
        f"/organizations/{portal.organization_id}/delete",
        tenant,
        f"{tenant}/map",
        f"{tenant}/unmap",
        f"{tenant}/rename",
        f"{tenant}/delete",
        "/tenants/new",
        "/microsoft-tenants",
        "/microsoft-tenants/connect",
        "/microsoft-tenants/discover",
        directory,
        f"{directory}/coverage",
        f"{directory}/remove",
        f"{directory}/map",
        "/sync-runs",
        runs,
        f"{runs}/undo",
        f"/sync-runs/{held['id']}",
        f"/sync-runs/{held['id']}/held",
        "/settings/about",
        "/settings/people",
        "/settings/tokens",
        "/settings/microsoft",
        "/settings/notifications",
        "/settings/notifications/add/email",
        "/settings/notifications/add/teams",
        "/settings/audit",
        "/settings/microsoft/remove?cloud=china",
        "/settings/filter-templates",
        "/settings/filter-templates/new",
        template,
        f"{template}/edit",
        f"{template}/delete",
        *rollout,
    ]


@pytest.mark.timeout(400)  # four looks at each of some twenty pages, on a machine that may be busy
@pytest.mark.parametrize("part", range(PARTS))
def test_U13_every_page_is_accessible_and_fits_wide_and_on_a_phone(visit, guard, pages, part):
    paths = pages[part::PARTS]
    if NOWHERE in paths:
        guard.expect(404, NOWHERE)
    page = visit()
    page.add_init_script(AXE_SCRIPT)  # with the page: afterwards it takes twice as long
    found = []
    for path in paths:
        page.goto(path)
        found += looked_at(page, path)
    page.goto("about:blank")
    assert found == []
