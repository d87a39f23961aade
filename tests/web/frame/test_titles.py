"""A window's title tells it from every other page: in tabs, in the history and to a screen reader."""

import re
from collections import defaultdict

import pytest

from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import Asset, Change, Conflict, SyncRun, UserSync
from portal.user_sync import documents
from tests.web import customers

SAME_PAGE = {
    ("microsoft.detail", "microsoft.check_page"),  # the same table at two addresses
}
NOT_HERE = {"microsoft.consent_answer", "auth.accept_invitation", "microsoft.consent_wait"}  # begun elsewhere


@pytest.fixture
def both(app):
    """Two customers of the same kind, and everything of theirs that has a page: endpoint argument → ids.

    Over 50 lines: rows and nothing else, one of each kind that has a page.
    """
    found = defaultdict(list)
    with app.app_context():
        mark_write(db.session())
        for name in ("Harborview", "Lakeshore"):
            now = utcnow()
            # every part has the customer's name, as a Tenant that is made with its Organization has
            microsoft = customers.microsoft_tenant(name, domains=(f"{name.lower()}.example",))
            organization = customers.organization(name, microsoft=microsoft)
            user = customers.directory_user(microsoft, f"{name} Person", f"p@{name.lower()}.example")
            person = customers.end_user(organization, user.display_name, user.email, linked_to=user)
            asset = Asset(organization_id=organization.id, name=f"{name}-PC", created_at=now, updated_at=now)
            filters = documents.default_request()["filters"]
            run = SyncRun(
                organization_id=organization.id,
                microsoft_tenant_id=microsoft.id,
                trigger="hourly",
                status="succeeded",
                created_at=now,
                started_at=now,
                finished_at=now,
            )
            db.session.add_all(
                [
                    asset,
                    run,
                    UserSync(organization_id=organization.id, enabled=True, filters=filters, updated_at=now),
                ]
            )
            db.session.flush()
            db.session.add(
                Change(
                    run_id=run.id,
                    organization_id=organization.id,
                    object_id=user.object_id,
                    decision="create",
                    reason="new",
                    at=now,
                )
            )
            db.session.add(
                Conflict(
                    organization_id=organization.id,
                    key="k",
                    kind="same_email",
                    reason="Two",
                    object_id="o",
                    created_at=now,
                )
            )
            found["organization_id"].append(organization.id)
            found["tenant_id"].append(organization.tenant_id)
            found["microsoft_tenant_id"].append(microsoft.id)
            found["end_user_id"].append(person.id)
            found["asset_id"].append(asset.id)
            found["run_id"].append(run.id)
        db.session.commit()
    return {**found, "field": ["city"], "section": ["department"]}


def test_U13_every_page_has_a_title_of_its_own(app, client_as, both):
    browser = client_as("administrator")
    titles = defaultdict(set)
    for rule in app.url_map.iter_rules():
        if "GET" not in rule.methods or rule.endpoint in NOT_HERE or rule.rule.startswith("/api/"):
            continue
        if not rule.arguments <= both.keys():
            continue
        for number in range(2 if rule.arguments & {"organization_id", "tenant_id", "run_id"} else 1):
            values = {name: both[name][min(number, len(both[name]) - 1)] for name in rule.arguments}
            with app.test_request_context():
                path = app.url_for(rule.endpoint, **values)
            answer = browser.get(path)
            title = re.search(r"<title>(.*?)</title>", answer.text, re.S)
            if answer.status_code == 200 and answer.mimetype == "text/html" and title:
                titles[" ".join(title[1].split())].add((rule.endpoint, *values.values()))
    shared = {
        title: pages
        for title, pages in titles.items()
        if len({page[1:] for page in pages}) > 1 or len({page[0] for page in pages}) > 1
    }
    shared = {
        t: p for t, p in shared.items() if tuple(sorted({x[0] for x in p}, reverse=True)) not in SAME_PAGE
    }
    assert shared == {}
    assert len(titles) > 60


def test_U13_the_tabs_of_an_organization_have_titles_of_their_own(client_as, both):
    browser = client_as("read-only")
    own = f"/organizations/{both['organization_id'][0]}"
    found = {
        re.search(r"<title>(.*?)</title>", browser.get(path).text)[1]
        for path in (own, f"{own}/end-users", f"{own}/assets", f"{own}/history", f"{own}/exceptions")
    }
    assert found == {
        f"Harborview · {tab} · Rollcall"
        for tab in ("Information", "End Users", "Assets", "Sync history", "Exceptions")
    }
