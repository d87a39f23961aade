"""P9: charts with sentences, tables and figures, by the days of who looks."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from portal.clock import utcnow
from portal.dashboard import service, views
from portal.dashboard.service import Day
from portal.extensions import db
from portal.models import Change, EndUser, Role, SubscribedSku, SyncRun
from tests.web import customers


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
    assert views.changes_sentence(quiet) == "Nobody was changed in the last 14 days."
    assert views.trouble_sentence(quiet) == "All 4 runs of the last 14 days succeeded."


def test_P9_who_was_linked_is_not_called_new():
    days = [Day(date(2026, 11, 24), {"new": 382, "updated": 1, "marked": 0}, 0, 1)]
    assert views.changes_sentence(days).endswith(": 383, of which 382 created or linked.")


def test_P9_runs_that_were_partial_or_held_did_not_go_through():
    days = [Day(date(2026, 11, 24), {}, 0, 3, partial=1), Day(date(2026, 11, 25), {}, 1, 40, held=1)]
    assert views.runs_sentence(days) == "43 in the last 14 days. The most was Wed 25 Nov: 40. 40 today."
    assert views.trouble_sentence(days) == (
        "3 of 43 runs did not succeed. The most was Wed 25 Nov: 2. 2 today."
    )


def test_P9_each_column_says_its_day_and_number():
    days = [Day(date(2026, 11, 24), {}, 0, 1200)]
    assert [bar.title for bar in views.columns(days, {"runs": [1200]}, ("b",)).bars] == [
        "Tue 24 Nov: 1,200 runs"
    ]


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
