"""Sign-in activity's limit of the whole app: two processes are two instances on one database, with one clock between them."""

import threading
from datetime import timedelta

import pytest

from portal.errors import SourceTransient, Stopped
from portal.worker.rate_limiter import RateLimiter
from tests.sync.world import START


class Clock:
    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)


def most_within(moments, seconds):
    return max(
        sum(1 for other in moments if one <= other <= one + timedelta(seconds=seconds)) for one in moments
    )


@pytest.fixture
def clock():
    return Clock()


def test_T7_two_processes_together_stay_within_ten_a_minute(sessions, clock):
    workers, turns = [RateLimiter(sessions, clock), RateLimiter(sessions, clock)], []
    for number in range(45):
        workers[number % 3 == 0].acquire(clock.wait)
        turns.append(clock.now)
        clock.wait(number % 4)
    assert most_within(turns, 60.0) <= 10
    assert turns[-1] - turns[0] < timedelta(minutes=5, seconds=30), "nor are they slower than they may be"


def test_T7_turns_are_first_come_first_served_and_survive_a_restart(sessions, clock):
    waits = []
    for _ in range(12):
        RateLimiter(sessions, clock, requests=4, window=60.0).acquire(waits.append)
    assert waits == [60.0] * 4 + [120.0] * 4, "each process began anew and forgot nothing"
    clock.wait(200.0)
    RateLimiter(sessions, clock, requests=4, window=60.0).acquire(waits.append)
    assert len(waits) == 8


def test_T7_a_429_holds_every_process_back_also_one_that_waits_already(sessions, clock):
    one, other = (
        RateLimiter(sessions, clock, requests=2, window=60.0),
        RateLimiter(sessions, clock, requests=2, window=60.0),
    )
    one.acquire(clock.wait), one.acquire(clock.wait)
    waits = []

    def wait(seconds):
        if not waits:
            one.block_for(90.0)
        waits.append(seconds)
        clock.wait(seconds)

    assert other.acquire(wait) == 90.0
    assert waits == [60.0, 30.0]
    assert clock.now == START + timedelta(seconds=90)


def test_T7_a_process_that_ends_while_it_waits_keeps_nobody_from_their_turn(sessions, clock):
    limiter = RateLimiter(sessions, clock, requests=1, window=60.0)
    limiter.acquire(clock.wait)

    def stop(_seconds):
        raise Stopped

    with pytest.raises(Stopped):
        limiter.acquire(stop)
    assert limiter.acquire(clock.wait) == 120.0


def test_T7_a_clock_that_is_set_back_stops_nobody_for_long(sessions, clock):
    limiter = RateLimiter(sessions, clock, requests=2, window=60.0)
    for _ in range(4):
        limiter.acquire(clock.wait)
    clock.now -= timedelta(days=1)
    assert limiter.acquire(clock.wait) == 0.0


def test_T7_turns_asked_for_at_the_same_moment_are_given_out_one_by_one(sessions, clock):
    """The row does not exist yet, so the first of them races to make it too."""
    waits, start = [], threading.Barrier(6)

    def ask():
        start.wait()
        RateLimiter(sessions, clock, requests=2, window=60.0).acquire(waits.append)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == [60.0, 60.0, 120.0, 120.0]


def test_T7_a_turn_that_a_page_does_not_wait_for_is_the_next_ones(sessions, clock):
    """Check connection waits for 8 seconds only; what it gives up must not cost a slow pass a turn, nor break the limit."""
    shared, turns = RateLimiter(sessions, clock, requests=10, window=60.0), []
    for _ in range(10):
        shared.acquire(clock.wait)
        turns.append(clock.now)
        clock.wait(1)

    def refuse(_seconds):
        raise SourceTransient("busy", code="busy")

    for _ in range(3):
        with pytest.raises(SourceTransient):
            shared.acquire(refuse)
    shared.acquire(clock.wait)
    assert clock.now == turns[0] + timedelta(seconds=60), "the very turn that was given up"
    turns.append(clock.now)
    for _ in range(10):
        with pytest.raises(SourceTransient):
            shared.acquire(lambda seconds: refuse(seconds) if seconds else None)
        shared.acquire(clock.wait)
        turns.append(clock.now)
    assert most_within(turns, 59.9) <= 10
