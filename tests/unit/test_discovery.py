"""What Microsoft's sign-in publishes is asked for once an hour, whoever opens the page that needs it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from requests_mock import ANY

from portal import clock
from portal.auth import discovery
from portal.auth.discovery import AGAIN, MAX_AGE, PAUSE, Discovery, Once

URL = "https://login.example/keys"


@pytest.fixture
def now(monkeypatch):
    """The present moment, to be moved on: ``now[0] += 5``."""
    found = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: found[0])
    return found


def test_an_answer_is_kept_for_an_hour_and_not_for_good(requests_mock, now):
    asked = requests_mock.get(URL, json={})
    kept = Discovery()
    for _ in range(3):
        assert kept.get(URL).status_code == 200
    now[0] += MAX_AGE - 1
    kept.get(URL)
    assert asked.call_count == 1
    assert asked.last_request.timeout == discovery.READ_TIMEOUT
    now[0] += 2
    kept.get(URL)
    assert asked.call_count == 2


def test_a_key_that_is_not_there_is_looked_for_once_a_minute_at_most(requests_mock, now):
    asked = requests_mock.get(URL, json={})
    kept = Discovery()
    for _ in range(2):
        kept.get(URL)
        kept.get(URL, max_age=AGAIN)
    assert asked.call_count == 1
    now[0] += AGAIN + 1
    for _ in range(2):
        kept.get(URL, max_age=AGAIN)
    assert asked.call_count == 2


@pytest.mark.parametrize(
    "answer",
    [
        {"exc": requests.ConnectTimeout},
        {"status_code": 503},
        {"status_code": 302, "headers": {"Location": "http://169.254.169.254/"}},
    ],
)
def test_after_a_failure_nobody_asks_for_ten_seconds(requests_mock, now, answer):
    asked = requests_mock.get(URL, **answer)
    kept = Discovery()
    for _ in range(3):
        if "exc" in answer:
            with pytest.raises(requests.ConnectTimeout):
                kept.get(URL)
        else:
            assert kept.get(URL).status_code == answer["status_code"]
    assert requests_mock.call_count == 1
    now[0] += PAUSE + 1
    requests_mock.get(URL, json={})
    assert kept.get(URL).status_code == 200
    assert asked.call_count == 1


def test_of_many_at_once_one_asks(requests_mock):
    asked = requests_mock.get(URL, json={})
    kept = Discovery()
    with ThreadPoolExecutor(20) as pool:
        assert {found.status_code for found in pool.map(lambda _: kept.get(URL), range(20))} == {200}
    assert asked.call_count == 1


def test_what_is_kept_does_not_grow_without_end(requests_mock):
    requests_mock.get(ANY, json={})
    kept = Discovery()
    for n in range(discovery.MAX_KEPT * 2):
        kept.get(f"{URL}/{n}")
    assert len(kept._kept) == len(kept._asking) == discovery.MAX_KEPT


def test_what_was_used_is_not_taken_again_while_it_could_be(now):
    once = Once(life=900, most=3)
    assert [once.take("a"), once.take("a")] == [True, False]
    now[0] += 901
    assert once.take("a")
    assert [once.take(name) for name in "bcd"] == [True, True, True]
    assert len(once._used) == 3
