from datetime import UTC, datetime, timedelta

import pytest

from portal.engine import schedule
from portal.engine.records import FilterSpec
from tests.unit.engine.builders import only

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


def test_T1_each_tenant_has_its_own_minute_every_hour():
    first = schedule.next_run(NOW, "tenant-1", 60)
    assert NOW < first <= NOW + timedelta(hours=1)
    assert schedule.next_run(first, "tenant-1", 60) == first + timedelta(hours=1)
    minutes = {schedule.next_run(NOW, f"tenant-{n}", 60).minute for n in range(200)}
    assert len(minutes) > 40, "hundreds of tenants do not start together"


def test_T1_missed_hours_are_made_up_once():
    later = NOW + timedelta(days=3)
    assert later < schedule.next_run(later, "tenant-1", 60) <= later + timedelta(hours=1)


@pytest.mark.parametrize("interval", [1, 5, 1440])
def test_T1_the_spread_scales_with_the_interval(interval):
    assert schedule.slot("t", interval) < timedelta(minutes=interval)
    assert schedule.next_run(NOW, "t", interval) - NOW <= timedelta(minutes=interval)


def test_G2_from_the_third_failure_on_ever_more_rarely_up_to_daily():
    waits = [schedule.back_off(60, n) for n in range(12)]
    assert waits[:3] == [timedelta(hours=1)] * 3
    assert waits[3] == timedelta(hours=2) and waits[4] == timedelta(hours=4)
    assert waits[-1] == timedelta(days=1) and waits == sorted(waits)
    assert schedule.next_run(NOW, "t", 60, failures=4) == NOW + timedelta(hours=4)
    assert [n for n in range(5) if schedule.needs_attention(n)] == [3, 4]


def test_G2_a_daily_schedule_never_becomes_more_frequent():
    assert schedule.back_off(1440, 9) == timedelta(days=1)


def test_T3_only_an_initial_sync_with_a_group_filter_is_delayed():
    assert schedule.lane(only(group=["g"]), is_initial=True) == "delayed"
    assert schedule.lane(only(group=["g"]), is_initial=False) == "hourly"
    assert schedule.lane(FilterSpec(), is_initial=True) == "hourly"


def test_T3_past_twelve_hours_is_overdue():
    assert schedule.is_overdue(NOW, NOW + timedelta(hours=12, seconds=1))
    assert not schedule.is_overdue(NOW, NOW + timedelta(hours=12))


def test_G3_a_full_read_comes_before_a_token_runs_out():
    assert schedule.full_read_due(None, NOW) and schedule.full_read_due(NOW - timedelta(days=6), NOW)
    assert not schedule.full_read_due(NOW - timedelta(days=5), NOW)


@pytest.mark.parametrize(
    ("counted", "theirs", "complete"),
    [
        (100, 100, True),
        (95, 100, True),
        (94, 100, False),
        (990, 1000, True),
        (989, 1000, False),
        (5, None, True),
    ],
)
def test_L2_complete_means_to_the_end_and_the_numbers_agree(counted, theirs, complete):
    assert schedule.is_complete(read_to_end=True, counted=counted, microsoft_count=theirs) is complete
    assert not schedule.is_complete(read_to_end=False, counted=counted, microsoft_count=theirs)


def test_T7_who_signed_in_is_asked_for_a_day_before_the_last_pass_and_everybody_weekly():
    day = timedelta(days=1)
    assert schedule.sign_ins_since(None, None, NOW) is None
    assert schedule.sign_ins_since(NOW - day, None, NOW) is None, (
        "the first pass over everybody never finished"
    )
    assert schedule.sign_ins_since(NOW - day, NOW - 2 * day, NOW) == NOW - 2 * day
    assert schedule.sign_ins_since(NOW - day, NOW - 7 * day + timedelta(seconds=1), NOW) is not None
    assert schedule.sign_ins_since(NOW - day, NOW - 7 * day, NOW) is None


def test_G2_the_back_off_ends_at_the_turn_nearest_to_its_end():
    hour = timedelta(hours=1)
    until = schedule.rests_until(NOW, 60, 4)
    assert [NOW + n * hour < until for n in (1, 3, 4)] == [True, True, False]
    assert not NOW + 4 * hour - timedelta(minutes=1) < until, "the turn is a minute early"


def test_G2_the_first_turn_after_a_rest():
    hour = timedelta(hours=1)
    shown = [schedule.first_turn(NOW, NOW + n * hour / 2, 60) for n in (-3, 0, 1, 2, 3)]
    assert shown == [NOW, NOW, NOW + hour, NOW + hour, NOW + 2 * hour]
