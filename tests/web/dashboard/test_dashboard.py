"""P9: the dashboard."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from portal.clock import utcnow
from portal.dashboard import views, service
from portal.dashboard.service import Day
from portal.extensions import db, mark_write
from portal.microsoft import credentials
from portal.models import Change, Conflict, EndUser, MicrosoftTenant, Role, SubscribedSku, SyncRun, UserSync
from portal.runtime import runtime
from tests.web import customers


def test_P9_a_new_portal_says_where_to_begin(client_as):
    page = client_as(Role.READ_ONLY).get("/")
    assert page.status_code == 200 and "Nothing is connected yet" in page.get_data(as_text=True)


def test_P9_a_new_portal_leads_to_each_step_in_turn(client_as, app, monkeypatch):
    owner, reader = client_as(Role.ADMINISTRATOR), client_as(Role.READ_ONLY)
    assert 'class="btn btn-primary" href="/microsoft-tenants/connect"' in owner.get("/").text
    assert "An administrator does that." in reader.get("/").text and "btn-primary" not in reader.get("/").text
    with monkeypatch.context() as patch:
        patch.setattr("portal.microsoft.service.usable_clouds", list)
        assert 'class="btn btn-primary" href="/settings/microsoft"' in owner.get("/").text
        assert "Start by entering the app registration." in owner.get("/").text
        page = owner.get("/microsoft-tenants/connect").text
        assert "app registration is not entered yet" in page and "Ask for consent" not in page
    assert "Look for customers" not in owner.get("/microsoft-tenants/discover").text
    with app.app_context():
        mark_write(db.session())
        customers.microsoft_tenant()
        db.session.commit()
    page = owner.get("/").text
    assert "Go on by adding an Organization." in page and 'href="/organizations/new"' in page


def test_P9_nothing_is_drawn_before_there_is_something(client_as, app):
    owner, reader = client_as(Role.ADMINISTRATOR), client_as(Role.READ_ONLY)
    assert "<svg class=\"rc-chart" not in owner.get("/").text and "rc-figure" not in owner.get("/").text
    with app.app_context():
        mark_write(db.session())
        microsoft = customers.microsoft_tenant()
        db.session.commit()
        microsoft_id = microsoft.id
    page = owner.get("/").text
    assert "rc-chart" not in page and "rc-figure" in page and '<a href="/organizations/new">Add an Organization</a> first' in page
    assert "Once an administrator has added an Organization" in reader.get("/").text
    with app.app_context():
        mark_write(db.session())
        row = customers.organization("Marula Foods")
        db.session.commit()
        organization_id = row.id
    page = reader.get("/").text
    assert "rc-chart" not in page and '<a href="/organizations?sync=none">Set up the sync of an Organization</a>' in page
    with app.app_context():
        mark_write(db.session())
        ids = {"organization_id": organization_id, "microsoft_tenant_id": microsoft_id}
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
    assert "client secret expires in" in page and "Nothing is connected yet" in page and "rc-figure" not in page


def test_P9_only_administrators_are_sent_to_set_a_sync_up(client_as, app):
    with app.app_context():
        customers.organization("Marula Foods", customers.microsoft_tenant())
        db.session.commit()
    assert ">Set one up<" in client_as(Role.ADMINISTRATOR).get("/").text
    assert "An administrator sets one up" in client_as(Role.TECHNICIAN).get("/").text


def test_P9_only_administrators_are_sent_to_their_settings(client_as, app):
    with app.app_context():
        mark_write(db.session())
        credentials.note_end(db.session(), runtime().settings, utcnow() + timedelta(days=20))
        db.session.commit()
    assert ">Replace<" in client_as(Role.ADMINISTRATOR).get("/").text
    page = client_as(Role.TECHNICIAN).get("/").text
    assert "client secret expires in" in page and "An administrator can" in page and ">Replace<" not in page


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
        broken[0].state, broken[0].problem, broken[0].problem_code = "needs_attention", "Consent is gone.", "AADSTS7000229"
        db.session.commit()
        first = f'href="/microsoft-tenants/{broken[0].id}">Show it'
    browser = client_as(Role.READ_ONLY)
    assert first in browser.get("/").text
    with app.app_context():
        row = db.session.scalar(db.select(MicrosoftTenant).where(MicrosoftTenant.name == "Lost"))
        row.state, row.problem, row.problem_code = "needs_attention", "Consent is gone.", "AADSTS7000229"
        db.session.commit()
    link = re.search(r'href="([^"]+)">Show them', browser.get("/").text)
    listed = browser.get(link[1]).text
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
    quiet = [Day(date(2026, 11, 1), {"New": 0}, 0, 4)]
    assert views.changes_sentence(quiet) == "Nobody was changed in these 14 days."
    assert views.trouble_sentence(quiet) == "All 4 runs of these 14 days went through."


def test_P9_who_was_linked_is_not_called_new():
    days = [Day(date(2026, 11, 24), {"New": 382, "Updated": 1, "Marked": 0}, 0, 1)]
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


def test_P9_all_that_needs_attention_is_on_the_page(client_as, app):
    with app.app_context():
        for number in range(22):
            row = customers.organization(f"Customer {number:02}")
            failing = {"enabled": True, "attention": "Three runs failed.", "filters": {}, "updated_at": utcnow()}
            db.session.add(UserSync(organization_id=row.id, **failing))
        db.session.commit()
    text = client_as(Role.READ_ONLY).get("/").get_data(as_text=True)
    assert "And 2 more</summary>" in text and text.count(": the sync needs attention</p>") == 22


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
    text = client_as(Role.READ_ONLY).get("/").get_data(as_text=True)
    assert "and 2 more products" in text and "Product 7" in text and "Product 8" not in text


def test_P9_a_run_that_only_skips_and_finds_conflicts_changed_nothing(app):
    with app.app_context():
        row = customers.organization("Marula Foods", customers.microsoft_tenant())
        runs = {
            decision: SyncRun(
                organization_id=row.id, trigger="hourly", status="succeeded", created_at=utcnow(), started_by="schedule"
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
            SyncRun(organization_id=row.id, trigger="hourly", status="failed", created_at=utcnow(), started_by="schedule")
        )
        db.session.commit()
    browser = client_as(Role.READ_ONLY)
    text = browser.get("/").get_data(as_text=True)
    assert '<a href="/sync-runs?status=failed">1 failed</a>' in text
    assert '<a href="/organizations?sync=none">1 not set up</a>' in text
    text = browser.get("/organizations?sync=none").get_data(as_text=True)
    assert "Marula Foods" in text and "Sync is not on" in text
    assert "No Organization fits." in browser.get("/organizations?sync=enabled").get_data(as_text=True)


def test_P9_a_customer_with_very_many_licenses_is_counted(app):
    with app.app_context():
        for name, bought in (("Small", 100), ("Large", 12_000)):
            microsoft = customers.microsoft_tenant(name)
            db.session.add(
                SubscribedSku(
                    microsoft_tenant_id=microsoft.id, sku_id="e3", name="Office 365 E3", assigned=90, bought=bought
                )
            )
        db.session.flush()
        assert service.licenses(db.session()) == [("Office 365 E3", 180, 12_100)]
