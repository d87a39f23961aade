"""P9: what needs a person, in the order of urgency, each kind once."""

import re
from datetime import timedelta

from portal.clock import utcnow
from portal.extensions import db
from portal.models import Conflict, MicrosoftTenant, Role, SyncRun, UserSync
from tests.web import customers


def test_P9_attention_comes_in_the_order_of_urgency(client_as, app):
    with app.app_context():
        now = utcnow()
        broken = customers.microsoft_tenant("Broken")
        broken.state, broken.problem, broken.problem_since = "needs_attention", "Consent is gone.", now
        soon = customers.microsoft_tenant("Soon")
        soon.relationship_ends_at = now + timedelta(days=6, hours=1)
        later = customers.microsoft_tenant("Later")
        later.relationship_ends_at = now + timedelta(days=40)
        held, failing = customers.organization("Held Co"), customers.organization("Failing Co")
        run = SyncRun(
            organization_id=held.id,
            trigger="hourly",
            status="held",
            created_at=now,
            started_by="schedule",
            held={"kind": "disable", "count": 31, "state": "waiting"},
        )
        db.session.add(run)
        db.session.flush()
        common = {"enabled": True, "filters": {}, "updated_at": now}
        db.session.add(UserSync(organization_id=held.id, hold_run_id=run.id, **common))
        db.session.add(UserSync(organization_id=failing.id, attention="Three runs failed.", **common))
        db.session.add(
            Conflict(organization_id=held.id, key="k", kind="x", reason="r", object_id="o", created_at=now)
        )
        db.session.commit()
    text = client_as(Role.READ_ONLY).get("/").get_data(as_text=True)
    words = [
        "Broken cannot be read",
        "Held Co: 31 people",
        "Failing Co: the sync",
        "The partner relationship with Soon expires in 6 days",
        "Held Co: 1 conflict",
        "The partner relationship with Later",
    ]
    places = [text.index(word) for word in words]
    assert places == sorted(places)


def test_P9_a_refused_connection_is_counted_and_its_code_said_once(client_as, app):
    with app.app_context():
        microsoft = customers.microsoft_tenant("Broken")
        microsoft.state, microsoft.problem_since = "needs_attention", utcnow()
        microsoft.problem, microsoft.problem_code = "Consent is gone. (AADSTS7000229)", "AADSTS7000229"
        row = customers.organization("Marula Foods", microsoft)
        db.session.add(UserSync(organization_id=row.id, enabled=True, filters={}, updated_at=utcnow()))
        db.session.commit()
    text = client_as(Role.READ_ONLY).get("/").text
    assert "1 needs attention" in text and text.count("(AADSTS7000229)") == 1


def test_P9_refused_connections_lead_to_the_tenant_or_to_the_list_of_just_those(client_as, app):
    with app.app_context():
        customers.microsoft_tenant("Whole")
        broken = [customers.microsoft_tenant(name) for name in ("Broken", "Lost")]
        broken[0].state, broken[0].problem, broken[0].problem_code = (
            "needs_attention",
            "Consent is gone.",
            "AADSTS7000229",
        )
        db.session.commit()
        first = f'href="/microsoft-tenants/{broken[0].id}">Open<'
    browser = client_as(Role.READ_ONLY)
    assert first in browser.get("/").text
    with app.app_context():
        row = db.session.scalar(db.select(MicrosoftTenant).where(MicrosoftTenant.name == "Lost"))
        row.state, row.problem, row.problem_code = "needs_attention", "Consent is gone.", "AADSTS7000229"
        db.session.commit()
    page = browser.get("/").text
    assert "2 Microsoft tenants cannot be read" in page and page.count("Consent is gone.") == 1
    listed = browser.get(re.search(r'href="([^"]+)">Show all 2<', page)[1]).text
    assert "Broken" in listed and "Lost" in listed and "Whole" not in listed


def test_P9_many_of_one_kind_are_one_row_with_a_link_to_all(client_as, app):
    with app.app_context():
        for number in range(88):
            row = customers.microsoft_tenant(f"Customer {number:02}")
            row.relationship_ends_at = utcnow() - timedelta(days=100 - number)
        customers.microsoft_tenant("Soon").relationship_ends_at = utcnow() + timedelta(days=5, hours=1)
        db.session.commit()
    browser = client_as(Role.READ_ONLY)
    page = browser.get("/").text
    card = page.partition('id="todo"')[2].partition("</section>")[0]
    assert (
        "88 partner relationships have expired" in card
        and "The partner relationship with Soon expires in 5 days" in card
    )
    assert card.count("<li>") == 3 and "Customer 00" in card and "Customer 03" not in card
    assert '<a href="/attention?kind=expired">and 85 more</a>' in card
    listed = browser.get("/attention?kind=expired").text
    assert (
        "The partner relationship with Customer 00 has expired" in listed
        and "1–50 of 88" in listed
        and "Soon" not in listed
    )
    assert "Customer 87" in browser.get("/attention?kind=expired&page=2").text
    assert "None of these" in browser.get("/attention?kind=hold").text


def test_P9_a_hold_says_who_decides(client_as, app):
    with app.app_context():
        row = customers.organization("Held Co", customers.microsoft_tenant())
        held = {"kind": "disable", "count": 31, "state": "waiting"}
        run = SyncRun(organization_id=row.id, trigger="hourly", status="held", created_at=utcnow(), held=held)
        db.session.add(run)
        db.session.flush()
        db.session.add(
            UserSync(
                organization_id=row.id, enabled=True, filters={}, updated_at=utcnow(), hold_run_id=run.id
            )
        )
        db.session.commit()
    assert "It waits for your decision." in client_as(Role.ADMINISTRATOR).get("/").text
    for role in (Role.TECHNICIAN, Role.READ_ONLY):
        page = client_as(role).get("/").text
        assert "Ask an administrator to decide." in page and "your decision" not in page


def test_P9_a_sync_that_is_overdue_is_said(client_as, app):
    with app.app_context():
        microsoft = customers.microsoft_tenant()
        row = customers.organization("Late Co", microsoft)
        done = {"enabled": True, "filters": {}, "updated_at": utcnow(), "initial_done_at": utcnow()}
        db.session.add(UserSync(organization_id=row.id, **done))
        microsoft.next_run_at = utcnow() - timedelta(hours=3)
        db.session.commit()
    browser = client_as(Role.READ_ONLY)
    assert "Late Co: the sync is overdue" in browser.get("/").text
    with app.app_context():
        db.session.query(MicrosoftTenant).one().lease_expires_at = utcnow() + timedelta(minutes=1)
        db.session.commit()
    assert "overdue" not in browser.get("/").text
