"""P9: the numbers lead to what they count, of one tag too, and cost the same for three hundred as for three."""

import html
import re
from datetime import timedelta

from sqlalchemy import event

from portal.clock import utcnow
from portal.dashboard import service
from portal.extensions import db
from portal.models import Conflict, Role, SubscribedSku, SyncRun, UserSync
from portal.organizations import tags
from tests.web import customers


def test_P9_the_dashboard_asks_as_often_for_three_hundred_as_for_three(client_as, app):
    """No query per row: the number of statements does not grow with the fleet."""

    def fleet(first, last):
        for number in range(first, last):
            microsoft = customers.microsoft_tenant(f"Tenant {number}")
            microsoft.relationship_ends_at = utcnow() + timedelta(days=number % 60)
            row = customers.organization(f"Customer {number}", microsoft)
            customers.organization(f"Loose {number}")
            sync = UserSync(organization_id=row.id, enabled=True, filters={}, updated_at=utcnow())
            sync.attention = "Three runs failed." if number % 2 else None
            open_one = {"key": "k", "kind": "x", "reason": "r", "object_id": "o", "created_at": utcnow()}
            db.session.add_all([sync, Conflict(organization_id=row.id, **open_one)])
        db.session.commit()

    browser, asked = client_as(Role.ADMINISTRATOR), []
    counts = []
    for size in ((0, 5), (5, 300)):
        with app.app_context():
            fleet(*size)
            listen = lambda *_: asked.append(1)  # noqa: E731
            event.listen(db.engine, "before_cursor_execute", listen)
        browser.get("/")
        browser.get("/attention")
        with app.app_context():
            event.remove(db.engine, "before_cursor_execute", listen)
        counts.append(len(asked))
        asked.clear()
    assert counts[0] == counts[1]


def test_P9_the_numbers_under_the_figures_lead_to_their_runs_and_organizations(client_as, app):
    with app.app_context():
        row = customers.organization("Marula Foods", customers.microsoft_tenant())
        db.session.add(
            SyncRun(
                organization_id=row.id,
                trigger="hourly",
                status="failed",
                created_at=utcnow(),
                started_by="schedule",
            )
        )
        db.session.commit()
    browser = client_as(Role.READ_ONLY)
    text = browser.get("/").get_data(as_text=True)
    assert '<a href="/sync-runs?status=failed">1 failed</a>' in text
    assert '<a href="/organizations?sync=none">1 not syncing</a>' in text
    text = browser.get("/organizations?sync=none").get_data(as_text=True)
    assert "Marula Foods" in text and 'aria-label="Filters in use"' in text
    assert "No Organizations match" in browser.get("/organizations?sync=enabled").get_data(as_text=True)


def test_P9_the_dashboard_of_a_tag_counts_its_organizations_and_leads_on_with_it(client_as, app):
    with app.app_context():
        for number, name in enumerate(("gold", "silver", "silver")):
            microsoft = customers.microsoft_tenant(f"{name} {number}")
            row = customers.organization(f"{name} {number}", microsoft)
            tags.replace(row, [f"{name} & co"])
            db.session.add(
                SyncRun(organization_id=row.id, trigger="hourly", status="failed", created_at=utcnow())
            )
            for person in range(number + 2):
                customers.end_user(row, f"P {person}", f"p{person}@{number}.example").mfa_registered = False
            sku = {
                "sku_id": "s",
                "name": f"Plan {number}",
                "applies_to": "User",
                "bought": 9,
                "assigned": number,
            }
            db.session.add(SubscribedSku(microsoft_tenant_id=microsoft.id, **sku))
        customers.organization("Alone")
        db.session.commit()
    browser = client_as(Role.ADMINISTRATOR)
    everything = browser.get("/").text
    assert "4 Organizations, 3 Microsoft tenants." in everything and 'href="?tag=gold+%26+co"' in everything
    assert "Organizations are not set up" in everything and ">9</a>" not in everything
    for tag, number, names, others in (
        ("gold+%26+co", 1, ["gold 0"], ["silver", "Alone", "Plan 1", "not mapped"]),
        ("SILVER & co", 2, ["silver 1", "silver 2", "Plan 1", "Plan 2"], ["gold 0", "Alone", "Plan 0"]),
        ("nobody", 0, [], ["gold 0", "silver 1", "Alone", "Plan"]),
    ):
        page = browser.get("/", query_string=f"tag={tag.replace(' & ', '+%26+')}").text
        asked = html.escape(f"tag={tag.replace(' & ', '+%26+').replace(' ', '+')}")
        assert f"{number} Organization" in page and all(name in page for name in names)
        content = page[page.index("<main") :]
        assert not [
            name for name in others if name in re.sub('<ul class="rc-chips.*?</ul>', "", content, flags=re.S)
        ]
        assert f'href="/organizations?sync=enabled&amp;{asked}"' in page
        if number:
            assert f'<a href="/sync-runs?status=failed&amp;{asked}">{number} failed</a>' in page
            assert f'<a href="/organizations?sync=none&amp;{asked}">{number} not syncing</a>' in page
            assert (
                browser.get(f"/sync-runs?status=failed&{html.unescape(asked)}").text.count("<tr")
                == number + 1
            )
        listed = browser.get(f"/attention?kind=not_set_up&{html.unescape(asked)}").text
        assert listed.count("is not set up</p>") == number and "Alone" not in listed


def test_P9_a_customer_with_very_many_licenses_is_counted(app):
    with app.app_context():
        for name, bought in (("Small", 100), ("Large", 12_000)):
            microsoft = customers.microsoft_tenant(name)
            db.session.add(
                SubscribedSku(
                    microsoft_tenant_id=microsoft.id,
                    sku_id="e3",
                    name="Office 365 E3",
                    assigned=90,
                    bought=bought,
                )
            )
        db.session.flush()
        assert service.licenses(db.session()) == [("Office 365 E3", 180, 12_100)]
