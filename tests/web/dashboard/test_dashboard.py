"""P9: the dashboard."""

import html
import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event

from portal.clock import utcnow
from portal.dashboard import service, views
from portal.dashboard.service import Day
from portal.extensions import db, mark_write
from portal.microsoft import credentials
from portal.models import (
    Change,
    Conflict,
    EndUser,
    MicrosoftTenant,
    Role,
    SubscribedSku,
    SyncRun,
    Tenant,
    UserSync,
)
from portal.organizations import tags
from portal.runtime import runtime
from tests.web import customers


def test_P9_a_new_portal_says_where_to_begin(client_as):
    page = client_as(Role.READ_ONLY).get("/")
    assert page.status_code == 200 and "Get started" in page.text and "rc-figure" not in page.text
    assert "Nothing needs attention" not in page.text and "An administrator does this." in page.text


def primary(browser):
    """The one thing that the checklist says is next: (address, label)."""
    page = browser.get("/").text
    return re.findall(
        r'<a class="btn btn-primary" href="([^"]+)">([^<]+)</a>', page.partition('id="first-run"')[2]
    )


def test_F6_the_first_run_leads_to_each_step_in_turn_until_the_first_sync(client_as, app, monkeypatch):
    owner = client_as(Role.ADMINISTRATOR)
    with monkeypatch.context() as patch:
        patch.setattr("portal.microsoft.service.usable_clouds", list)
        assert primary(owner) == [("/settings/microsoft", "Enter the app registration")]
        page = owner.get("/microsoft-tenants/connect").text
        assert "app registration is not entered yet" in page and "Ask for consent" not in page
    assert primary(owner) == [("/microsoft-tenants/connect", "Connect a Microsoft tenant")]
    with app.app_context():
        mark_write(db.session())
        microsoft_id = customers.microsoft_tenant().id
        db.session.commit()
    assert primary(owner) == [("/organizations/new", "Add an Organization")]
    with app.app_context():
        mark_write(db.session())
        row = customers.organization("Marula Foods")
        db.session.commit()
        organization_id, tenant_id = row.id, row.tenant_id
    assert primary(owner) == [("/microsoft-tenants?mapped=false", "Map a Microsoft tenant")]
    with app.app_context():
        mark_write(db.session())
        db.session.get(Tenant, tenant_id).microsoft_tenant_id = microsoft_id
        db.session.commit()
    assert primary(owner) == [("/attention?kind=not_set_up", "Choose an Organization")]
    with app.app_context():
        mark_write(db.session())
        db.session.add(
            UserSync(organization_id=organization_id, enabled=True, filters={}, updated_at=utcnow())
        )
        db.session.commit()
    assert primary(owner) == [("/sync-runs", "Follow it")]
    with app.app_context():
        mark_write(db.session())
        db.session.query(UserSync).one().initial_done_at = utcnow()
        db.session.commit()
    page = owner.get("/").text
    assert "Get started" not in page and "Nothing needs attention" in page


def test_F6_the_first_run_says_to_others_who_does_the_step(client_as, app):
    with app.app_context():
        customers.organization("Marula Foods")
        customers.microsoft_tenant()
        db.session.commit()
    reader, technician = client_as(Role.READ_ONLY), client_as(Role.TECHNICIAN)
    assert primary(reader) == [] and "A technician does this." in reader.get("/").text
    assert primary(technician) == [("/microsoft-tenants?mapped=false", "Map a Microsoft tenant")]


def test_P9_nothing_is_drawn_before_there_is_something(client_as, app):
    reader = client_as(Role.READ_ONLY)
    assert "rc-chart" not in reader.get("/").text and "rc-figure" not in reader.get("/").text
    with app.app_context():
        mark_write(db.session())
        microsoft = customers.microsoft_tenant()
        row = customers.organization("Marula Foods")
        db.session.commit()
        ids = {"organization_id": row.id, "microsoft_tenant_id": microsoft.id}
    page = reader.get("/").text
    assert "rc-chart" not in page and "rc-figure" in page and "What the next one does is drawn here." in page
    with app.app_context():
        mark_write(db.session())
        db.session.add(SyncRun(**ids, trigger="initial", status="succeeded", created_at=utcnow()))
        db.session.commit()
    page = reader.get("/").text
    assert page.count('<svg class="rc-chart') == 3 and "No sync has run" not in page


def test_P9_a_new_portal_with_trouble_says_where_to_begin_too(client_as, app):
    with app.app_context():
        mark_write(db.session())
        credentials.note_end(db.session(), runtime().settings, utcnow() + timedelta(days=20))
        db.session.commit()
    page = client_as(Role.ADMINISTRATOR).get("/").text
    assert "client secret expires in" in page and "Get started" in page and "rc-figure" not in page


def test_P9_it_never_reassures_while_something_is_not_done(client_as, app):
    with app.app_context():
        customers.microsoft_tenant("Nobody's")
        mapped = customers.organization("Marula Foods", customers.microsoft_tenant())
        customers.organization("Not mapped Co")
        synced = customers.organization("Synced Co", customers.microsoft_tenant("Synced"))
        done = {"enabled": True, "filters": {}, "updated_at": utcnow(), "initial_done_at": utcnow()}
        db.session.add(UserSync(organization_id=synced.id, **done))
        db.session.commit()
        tenant_id = mapped.tenant_id
    owner, technician = client_as(Role.ADMINISTRATOR), client_as(Role.TECHNICIAN)
    page = owner.get("/").text
    assert "Nothing needs attention" not in page and "as it should be" not in page
    for words in (
        "1 Organization is not set up",
        "1 Organization is not mapped",
        "1 Microsoft tenant is not mapped",
    ):
        assert words in page.partition('id="page-facts"')[2].partition("</p>")[0]
    assert f'href="/tenants/{tenant_id}">Set up<' in page and "An administrator sets it up." not in page
    page = technician.get("/").text
    assert "An administrator sets it up." in page and "technician or an administrator maps" not in page


def test_P9_only_administrators_are_sent_to_their_settings(client_as, app):
    with app.app_context():
        mark_write(db.session())
        credentials.note_end(db.session(), runtime().settings, utcnow() + timedelta(days=20))
        db.session.commit()
    assert ">Replace<" in client_as(Role.ADMINISTRATOR).get("/").text
    page = client_as(Role.TECHNICIAN).get("/").text
    assert (
        "client secret expires in" in page
        and "An administrator replaces it." in page
        and ">Replace<" not in page
    )


def test_P9_nobody_sees_it_without_signing_in(app):
    assert app.test_client().get("/").status_code == 303


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


def test_P9_charts_have_sentences_tables_and_figures(client_as, app):
    with app.app_context():
        microsoft = customers.microsoft_tenant()
        row = customers.organization("Marula <b>Foods</b>", microsoft)
        run = SyncRun(
            organization_id=row.id,
            trigger="hourly",
            status="failed",
            created_at=utcnow(),
            started_by="schedule",
        )
        db.session.add(run)
        db.session.flush()
        for number in range(3):
            db.session.add(
                Change(
                    run_id=run.id,
                    organization_id=row.id,
                    object_id=str(number),
                    decision="update",
                    reason="fields_differ",
                    at=utcnow(),
                )
            )
            user = customers.directory_user(microsoft, f"P{number}", f"p{number}@harborview.example")
            customers.end_user(row, f"P{number}", user.email, linked_to=user)
        for person, known in zip(db.session.scalars(db.select(EndUser)), (True, False, None), strict=True):
            person.mfa_registered = known
        db.session.commit()
    text = client_as(Role.READ_ONLY).get("/").get_data(as_text=True)
    assert ": 3, of which 3 updated." in text and "1 of 1 runs did not succeed." in text
    assert 'role="img" aria-labelledby="c1 c1-text"' in text and "Show as a table" in text
    assert "<strong>50%</strong>" in text and "1 is unknown" in text
    assert "<b>Foods" not in text and "style=" not in text


@pytest.mark.parametrize("numbers", [[0] * 14, [1] + [0] * 13, [3, 469] + [7] * 12])
def test_columns_stand_on_zero_and_keep_their_proportions(numbers):
    days = [Day(date(2026, 11, 1 + i), {}, n, n) for i, n in enumerate(numbers)]
    chart = views.columns(days, {"failed": numbers}, ("d",))
    assert chart.total == sum(numbers) and len(chart.bars) == sum(1 for n in numbers if n)
    for bar in chart.bars:
        assert 0 <= bar.y <= views.BASE and bar.height <= views.PLOT
    tallest = max((bar.height for bar in chart.bars), default=0)
    assert all(text == f"{max(numbers):,}" for _, _, text in chart.tops) and (tallest > 0) == any(numbers)


def test_the_sentences_of_quiet_days():
    quiet = [Day(date(2026, 11, 1), {"new": 0}, 0, 4)]
    assert views.changes_sentence(quiet) == "Nobody was changed in these 14 days."
    assert views.trouble_sentence(quiet) == "All 4 runs of these 14 days went through."


def test_P9_who_was_linked_is_not_called_new():
    days = [Day(date(2026, 11, 24), {"new": 382, "updated": 1, "marked": 0}, 0, 1)]
    assert views.changes_sentence(days).endswith(": 383, of which 382 created or linked.")


def test_P9_runs_that_were_partial_or_held_did_not_go_through():
    days = [Day(date(2026, 11, 24), {}, 0, 3, partial=1), Day(date(2026, 11, 25), {}, 1, 40, held=1)]
    assert views.runs_sentence(days) == "43 in these 14 days. The most was Wed 25 Nov: 40. 40 today."
    assert views.trouble_sentence(days) == (
        "3 of 43 runs did not succeed. The most was Wed 25 Nov: 2. 2 today."
    )


def test_P9_each_column_says_its_day_and_number():
    days = [Day(date(2026, 11, 24), {}, 0, 1200)]
    assert [bar.title for bar in views.columns(days, {"runs": [1200]}, ("b",)).bars] == [
        "Tue 24 Nov: 1,200 runs"
    ]


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
        assert "An administrator decides." in page and "your decision" not in page


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


def test_P9_products_beyond_the_first_are_counted(client_as, app):
    with app.app_context():
        microsoft = customers.microsoft_tenant()
        for number in range(10):
            sku = SubscribedSku(
                microsoft_tenant_id=microsoft.id,
                sku_id=f"00000000-0000-0000-0000-{number:012}",
                name=f"Product {number}",
                assigned=10 - number,
                bought=10,
                applies_to="User",
            )
            db.session.add(sku)
        db.session.commit()
    browser = client_as(Role.READ_ONLY)
    text = " ".join(browser.get("/").text.split())
    assert '">and 2 more products</a>' in text and "Product 7" in text and "Product 8" not in text
    assert "Product 9" in browser.get("/?licenses=all").text


def test_P9_a_run_that_only_skips_and_finds_conflicts_changed_nothing(app):
    with app.app_context():
        row = customers.organization("Marula Foods", customers.microsoft_tenant())
        runs = {
            decision: SyncRun(
                organization_id=row.id,
                trigger="hourly",
                status="succeeded",
                created_at=utcnow(),
                started_by="schedule",
            )
            for decision in ("skip", "conflict", "update")
        }
        db.session.add_all(runs.values())
        db.session.flush()
        for decision, run in runs.items():
            db.session.add(
                Change(
                    run_id=run.id,
                    organization_id=row.id,
                    object_id="o",
                    decision=decision,
                    reason="r",
                    state="applied",
                    at=utcnow(),
                )
            )
        db.session.commit()
        assert [run.id for run, _ in service.recent_runs(db.session())] == [runs["update"].id]


def test_a_day_counts_from_now(app):
    now = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    with app.app_context():
        row = customers.organization("A")
        for hours in (1, 23, 25):
            db.session.add(
                SyncRun(
                    organization_id=row.id,
                    trigger="hourly",
                    status="succeeded",
                    created_at=now - timedelta(hours=hours),
                    started_by="schedule",
                )
            )
        db.session.flush()
        assert service.last_day(db.session(), now).runs == {"succeeded": 2}


def test_P9_people_per_organization_add_up_to_what_is_shown(client_as, app):
    with app.app_context():
        large, small = customers.organization("Large Co"), customers.organization("Small Co")
        for number in range(3):
            customers.end_user(large, f"Person {number}", f"p{number}@large.example")
        customers.end_user(small, "One", "one@small.example")
        db.session.commit()
        ids = large.id, small.id
    page = client_as(Role.READ_ONLY).get("/").get_data(as_text=True)
    part = page.partition("People per Organization")[2]
    assert part.index(f"/organizations/{ids[0]}/end-users") < part.index(f"/organizations/{ids[1]}/end-users")
    assert "4 End Users in all." in part


def test_P9_the_charts_count_by_the_viewers_days(app):
    now = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)
    with app.app_context():
        row = customers.organization("Marula Foods", customers.microsoft_tenant())
        for hour in (20, 23):  # the 24th in UTC; in Johannesburg the latter is the 25th, 01:00
            db.session.add(
                SyncRun(
                    organization_id=row.id,
                    trigger="hourly",
                    status="failed" if hour == 23 else "succeeded",
                    created_at=datetime(2026, 11, 24, hour, 0, tzinfo=UTC),
                    started_by="schedule",
                )
            )
        db.session.commit()
        utc = service.days(db.session(), now)
        local = service.days(db.session(), now, ZoneInfo("Africa/Johannesburg"))
        west = service.days(db.session(), now, ZoneInfo("America/New_York"))
    assert [(day.day.day, day.runs, day.failures) for day in utc[-2:]] == [(24, 2, 1), (25, 0, 0)]
    assert [(day.day.day, day.runs, day.failures) for day in local[-2:]] == [(24, 1, 0), (25, 1, 1)]
    assert [(day.day.day, day.runs, day.failures) for day in west[-2:]] == [(23, 0, 0), (24, 2, 1)]


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
    assert "No Organization fits" in browser.get("/organizations?sync=enabled").get_data(as_text=True)


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
