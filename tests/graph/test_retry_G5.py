from datetime import UTC, datetime, timedelta

import pytest

from portal.graph.retry import BUDGET_SECONDS, MAX_TRIES, RetryAction, decide, retry_after

NOW = datetime(2026, 11, 3, 8, 15, 0, tzinfo=UTC)


def ask(status, *, attempt=1, waited=0.0, jitter=0.0, **headers):
    return decide(
        attempt=attempt,
        status=status,
        headers={k.replace("_", "-"): v for k, v in headers.items()},
        now=NOW,
        waited=waited,
        jitter=jitter,
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 413, 422, 501])
def test_G5_refusals_are_not_tried_again(status):
    assert ask(status).next is RetryAction.GIVE_UP


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 509, None])
def test_G5_trouble_is_tried_again(status):
    found = ask(status)
    assert (found.next, found.wait_seconds) == (RetryAction.RETRY, 2.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("2.5", 2.5),
        ("Tue, 03 Nov 2026 08:15:09 GMT", 10.0),
        ("Tue, 03 Nov 2026 08:14:00 GMT", 0.0),
    ],
)
def test_G5_retry_after_is_obeyed_to_the_second(text, seconds):
    assert ask(429, Retry_After=text).wait_seconds == seconds
    assert ask(503, retry_after=text).is_throttling


def test_G5_a_date_counts_from_the_clock_that_named_it_and_is_never_undercut():
    """Dates are whole seconds, cut off: at most a second is added, and a clock of ours that is ahead takes nothing off."""
    asked = {"Retry-After": "Tue, 03 Nov 2026 08:20:09 GMT", "Date": "Tue, 03 Nov 2026 08:20:00 GMT"}
    assert retry_after(asked, NOW) == 10.0
    assert retry_after({**asked, "Date": "yesterday"}, NOW) == 310.0


@pytest.mark.parametrize("text", ["", "soon", "-5", "Tue, 99 Nov"])
def test_an_unreadable_retry_after_is_none(text):
    assert retry_after({"Retry-After": text}, NOW) is None


def test_without_it_the_wait_doubles_with_jitter():
    assert [ask(500, attempt=n).wait_seconds for n in (1, 2, 3, 4)] == [2.0, 4.0, 8.0, 16.0]
    assert ask(500, jitter=1.0).wait_seconds == 2.5


def test_G5_a_longer_retry_after_than_a_run_waits_is_postponed():
    found = ask(429, Retry_After="7200")
    assert (found.next, found.wait_seconds) == (RetryAction.POSTPONE, 7200.0)


def test_endpoints_that_keep_failing_end_within_two_minutes():
    waited, attempt = 0.0, 0
    while True:
        attempt += 1
        found = ask(500, attempt=attempt, waited=waited, jitter=1.0)
        if found.next is not RetryAction.RETRY:
            break
        waited += found.wait_seconds
    assert waited <= BUDGET_SECONDS < 120
    assert attempt <= MAX_TRIES


def test_throttling_without_a_time_is_postponed_at_the_end():
    found = ask(429, attempt=MAX_TRIES)
    assert (found.next, found.wait_seconds) == (RetryAction.POSTPONE, 64.0)


def test_a_new_connection_after_503_and_after_none():
    assert ask(503).new_connection and ask(None).new_connection and not ask(500).new_connection


@pytest.mark.parametrize("text", ["100000", "9" * 400, "99999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_G5_an_absurd_retry_after_postpones_for_a_day_and_breaks_nothing(text):
    found = ask(429, Retry_After=text)
    assert (found.next, found.wait_seconds) == (RetryAction.POSTPONE, 86_400.0)
    assert NOW + timedelta(seconds=found.wait_seconds) > NOW
