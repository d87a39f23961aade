"""What is asked again, how long it is waited, and which answer has which consequence."""

from datetime import UTC, datetime, timedelta

import pytest
import requests

from portal.errors import (
    SourceAuthError,
    SourceGone,
    SourceLicenseMissing,
    SourcePermissionMissing,
    SourceRejected,
    SourceThrottled,
    SourceTransient,
)
from portal.graph.answers import ObjectMissing
from portal.graph.client import GraphClient
from tests.graph.exchange import BASE, USERS, Tokens, error, read


def test_G5_a_throttled_page_is_asked_for_again_after_the_time_named(client, graph, waits):
    graph.get(
        USERS,
        [
            {"status_code": 429, "headers": {"Retry-After": "7"}, "json": error("TooManyRequests")},
            {"json": {"value": [1]}},
        ],
    )
    assert read(client) == [1]
    assert (waits, client.meter.throttled_seconds) == ([7.0], 7.0)


def test_G5_a_long_wait_is_the_runs_business(client, graph, waits):
    graph.get(USERS, status_code=429, headers={"Retry-After": "3600"}, json=error("TooManyRequests"))
    with pytest.raises(SourceThrottled) as caught:
        read(client)
    assert waits == [] and caught.value.retry_at == datetime(2026, 11, 3, 1, tzinfo=UTC)


def test_L2_a_failing_page_never_ends_a_list_quietly(client, graph):
    graph.get(USERS, json={"value": [1], "@odata.nextLink": f"{USERS}?p=2"})
    graph.get(f"{USERS}?p=2", status_code=500, text="<html>")
    with pytest.raises(SourceTransient):
        read(client)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"text": "<html>Sign in to the proxy</html>", "headers": {"Content-Type": "text/html"}}, "not JSON"),
        ({"content": b'{"value": [1', "headers": {"Content-Type": "application/json"}}, "incomplete"),
        ({"exc": requests.ConnectionError}, "cannot be reached"),
        ({"status_code": 503, "json": error("ServiceUnavailable")}, "503"),
        ({"status_code": 429, "json": error("TooManyRequests")}, "slow down"),
    ],
)
def test_C4_impatience_says_what_microsoft_did_and_what_to_do(graph, answer, told):
    def impatient(_seconds):
        raise SourceTransient("Nobody waits that long.")

    graph.get(USERS, **answer)
    client = GraphClient(BASE, Tokens(), impatient, lambda: datetime(2026, 11, 3, tzinfo=UTC))
    with pytest.raises((SourceTransient, SourceThrottled)) as caught:
        client.get("/users")
    client.close()
    assert told in caught.value.advice and "try again" in caught.value.advice.lower()


def test_a_cut_connection_is_tried_again_on_a_new_one(client, graph, waits):
    graph.get(USERS, [{"exc": requests.ConnectionError}, {"json": {"value": [1]}}])
    assert read(client) == [1] and waits == [2.0]


def test_a_server_that_hangs_uses_up_the_same_two_minutes(graph):
    clock = [datetime(2026, 11, 3, tzinfo=UTC)]
    timeouts = []

    def hang(request, _context):
        timeouts.append(request.timeout[1])
        clock[0] += timedelta(seconds=request.timeout[1])
        raise requests.ReadTimeout

    def wait(seconds):
        clock[0] += timedelta(seconds=seconds)

    graph.get(USERS, json=hang)
    client = GraphClient(BASE, Tokens(), wait, lambda: clock[0], jitter=lambda: 0.0)
    with pytest.raises(SourceTransient):
        read(client)
    client.close()
    assert timeouts == [60, 28]
    assert clock[0] - datetime(2026, 11, 3, tzinfo=UTC) <= timedelta(minutes=2)


def test_G5_a_login_page_with_bad_minutes_gets_the_same_patience(client, graph, waits, monkeypatch):
    busy = SourceTransient("Microsoft's sign-in is busy.", code="AADSTS90055")
    answers = iter([busy, busy, "late"])

    def token():
        answer = next(answers, busy)
        if answer is busy:
            raise busy
        return answer

    monkeypatch.setattr(client.tokens, "token", token)
    graph.get(USERS, json={"value": [1]})
    turns = []
    client.before_request = lambda: turns.append(1)
    assert read(client) == [1] and waits == [2.0, 4.0]
    assert (turns, client.meter.requests) == ([1], 1), (
        "a turn is taken for a request, not for a token that was not had"
    )
    waits.clear()
    with pytest.raises(SourceTransient, match="is busy"):
        read(client)
    assert sum(waits) <= 90 and len(waits) == 5


def test_401_gets_one_new_token(client, graph):
    graph.get(
        USERS, [{"status_code": 401, "json": error("InvalidAuthenticationToken")}, {"json": {"value": [1]}}]
    )
    assert read(client) == [1]
    assert [r.headers["Authorization"] for r in graph.request_history] == ["Bearer token-0", "Bearer token-1"]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, error("InvalidAuthenticationToken"), SourceAuthError),
        (401, error("Authorization_IdentityNotFound"), SourceAuthError),
        (403, error("Authorization_RequestDenied"), SourcePermissionMissing),
        (
            403,
            error("Authentication_MSGraphPermissionMissing", "needs AuditLog.Read.All"),
            SourcePermissionMissing,
        ),
        (403, error("Authentication_RequestFromNonPremiumTenantOrB2CTenant"), SourceLicenseMissing),
        (401, error("UnknownError", '{"ErrorCode":"Forbidden","Message":"{}"}'), SourcePermissionMissing),
        (404, error("Request_ResourceNotFound"), ObjectMissing),
        (410, error("resyncRequired"), SourceGone),
        (400, error("syncStateNotFound"), SourceGone),
        (400, error("BadRequest", "x", code="resyncRequired"), SourceGone),
        (501, error("NotImplemented"), SourceRejected),
        (503, error("ServiceUnavailable"), SourceTransient),
    ],
)
def test_C4_each_answer_has_its_consequence(client, graph, status, body, kind):
    graph.get(USERS, status_code=status, json=body)
    with pytest.raises(kind) as caught:
        client.get("/users")
    assert "token-" not in caught.value.advice and "https://" not in caught.value.advice
