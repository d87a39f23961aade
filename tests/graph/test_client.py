from datetime import UTC, datetime, timedelta, timezone

import pytest
import requests
import requests_mock as mocking

from portal.errors import (
    SourceAuthError,
    SourceBadAnswer,
    SourceGone,
    SourceLicenseMissing,
    SourcePermissionMissing,
    SourceRejected,
    SourceThrottled,
    SourceTransient,
    Stopped,
)
from portal.graph import answers, connections
from portal.graph.answers import ObjectMissing
from portal.graph.client import GraphClient
from portal.graph.source import GraphDirectory

BASE = "https://graph.microsoft.com"
USERS = f"{BASE}/v1.0/users"


class Tokens:
    def __init__(self):
        self.forgotten = 0

    def token(self):
        return f"token-{self.forgotten}"

    def forget(self):
        self.forgotten += 1

    fresh = token


@pytest.fixture
def waits():
    return []


@pytest.fixture
def client(waits):
    found = GraphClient(
        BASE, Tokens(), waits.append, lambda: datetime(2026, 11, 3, tzinfo=UTC), jitter=lambda: 0.0
    )
    yield found
    found.close()


@pytest.fixture
def graph():
    with mocking.Mocker() as mocker:
        yield mocker


def error(code_, message="", **inner):
    return {"error": {"code": code_, "message": message, "innerError": inner}}


def read(client, path="/users"):
    return [item for page in client.pages(path) for item in page["value"]]


def test_pages_are_followed_as_they_are_and_an_empty_one_ends_nothing(client, graph):
    graph.get(USERS, json={"value": [1], "@odata.nextLink": f"{USERS}?$skiptoken=a%2Bb"})
    graph.get(f"{USERS}?$skiptoken=a%2Bb", json={"value": [], "@odata.nextLink": f"{USERS}?$skiptoken=c"})
    graph.get(f"{USERS}?$skiptoken=c", json={"value": [2]})
    assert read(client) == [1, 2]
    assert client.meter.requests == 3
    assert all(r.headers["Authorization"] == "Bearer token-0" for r in graph.request_history)


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1.0/users",
        "http://graph.microsoft.com/v1.0/users",
        "https://graph.microsoft.com@evil.example/users",
        "https://user:pw@graph.microsoft.com/v1.0/users",
        "https://user@graph.microsoft.com/v1.0/users",
        "https://graph.microsoft.com:8443/v1.0/users",
        "https://graph.microsoft.com.evil.example/users",
        "https://graph.microsoft.com\\@evil.example/",
        "//evil.example/users",
        "ftp://graph.microsoft.com/",
        "https://[broken",
        5,
    ],
)
def test_G6_a_link_to_anywhere_else_is_an_error_and_gets_no_token(client, graph, link):
    graph.get(USERS, json={"value": [1], "@odata.nextLink": link})
    with pytest.raises(SourceBadAnswer, match="another server"):
        read(client)
    assert [r.url for r in graph.request_history] == [USERS]


def test_G6_only_the_letter_case_of_the_host_may_differ(client, graph):
    graph.get(
        USERS,
        json={"value": [], "@odata.nextLink": "https://GRAPH.microsoft.com:443/v1.0/users?$skiptoken=x"},
    )
    graph.get(mocking.ANY, json={"value": [7]})
    graph.get(USERS, json={"value": [], "@odata.nextLink": "https://GRAPH.Microsoft.com/v1.0/more"})
    assert read(client) == [7]


def test_G6_redirects_are_not_followed(client, graph):
    graph.get(USERS, status_code=302, headers={"Location": "https://evil.example/"})
    with pytest.raises(SourceBadAnswer, match="redirect"):
        read(client)
    assert len(graph.request_history) == 1


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


@pytest.mark.parametrize("body", [b'{"value": [1', b"[]", b"null", b'{"value": 5}', b'{"other": 1}'])
def test_L2_a_body_that_is_no_page_is_an_error(client, graph, body):
    graph.get(USERS, content=body, headers={"Content-Type": "application/json"})
    with pytest.raises((SourceBadAnswer, SourceTransient)):
        read(client)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"text": "<html>Sign in to the proxy</html>", "headers": {"Content-Type": "text/html"}}, "no JSON"),
        ({"content": b'{"value": [1', "headers": {"Content-Type": "application/json"}}, "break off"),
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


def test_G8_half_an_emoji_does_not_cost_the_page(client, graph, waits):
    graph.get(
        USERS,
        content=b'{"value": [{"id": "a", "displayName": "Mila \\ud83d"}, {"id": "b", "displayName": "\\ud83d\\ude00"}]}',
        headers={"Content-Type": "application/json"},
    )
    assert [item["displayName"] for item in read(client)] == ["Mila \ufffd", "\U0001f600"]
    assert waits == []


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


def test_a_page_that_repeats_is_a_broken_server(client, graph):
    graph.get(USERS, json={"value": [], "@odata.nextLink": f"{USERS}?p=2"})
    graph.get(f"{USERS}?p=2", json={"value": [], "@odata.nextLink": f"{USERS}?p=2"})
    with pytest.raises(SourceBadAnswer, match="again and again"):
        read(client)


def test_a_refused_link_restarts_the_list_once(client, graph):
    graph.get(USERS, [{"json": {"value": [1], "@odata.nextLink": f"{USERS}?p=2"}}, {"json": {"value": [1]}}])
    graph.get(f"{USERS}?p=2", status_code=400, json=error("BadRequest"))
    assert read(client) == [1, 1]


def test_a_refused_first_request_is_not_restarted(client, graph):
    graph.get(USERS, status_code=400, json=error("Request_UnsupportedQuery"))
    with pytest.raises(SourceRejected) as caught:
        read(client)
    assert (caught.value.status, caught.value.code) == (400, "Request_UnsupportedQuery")


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


def test_stopping_is_asked_before_each_request(client, graph):
    def stop():
        raise Stopped

    client.stop = stop
    with pytest.raises(Stopped):
        client.get("/users")
    assert graph.request_history == []


def test_batches_retry_only_what_failed(client, graph, waits):
    graph.post(
        f"{BASE}/v1.0/$batch",
        [
            {
                "json": {
                    "responses": [
                        {"id": "1", "status": 429, "headers": {"Retry-After": "3"}, "body": error("x")},
                        {"id": "0", "status": 200, "body": {"value": [0]}},
                        {"id": "2", "status": 404, "body": error("Request_ResourceNotFound")},
                    ]
                }
            },
            {"json": {"responses": [{"id": "1", "status": 200, "body": {"value": [1]}}]}},
        ],
    )
    first, second, third = client.batch(["/a", "/b", "/c"])
    assert (first, second, type(third), waits) == ({"value": [0]}, {"value": [1]}, ObjectMissing, [3.0])
    assert [len(r.json()["requests"]) for r in graph.request_history] == [3, 1]


def test_a_batch_holds_at_most_twenty(client, graph):
    graph.post(
        f"{BASE}/v1.0/$batch",
        json=lambda r, _c: {
            "responses": [{"id": i["id"], "status": 200, "body": {"value": []}} for i in r.json()["requests"]]
        },
    )
    assert len(client.batch([f"/{n}" for n in range(45)])) == 45
    assert [len(r.json()["requests"]) for r in graph.request_history] == [20, 20, 5]


def test_without_batch_each_is_asked_for_alone(client, graph):
    graph.post(f"{BASE}/v1.0/$batch", status_code=404, json=error("ResourceNotFound"))
    graph.get(f"{BASE}/v1.0/groups/a", json={"id": "a"})
    graph.get(f"{BASE}/v1.0/groups/b", status_code=404, json=error("Request_ResourceNotFound"))
    found = client.batch(["/groups/a", "/groups/b"])
    assert found[0] == {"id": "a"} and isinstance(found[1], ObjectMissing)


def test_L2_the_number_of_users_comes_from_either_place(client, graph):
    graph.get(f"{USERS}/$count", status_code=404, json=error("Request_ResourceNotFound"))
    graph.get(f"{USERS}?$top=1&$count=true&$select=id", json={"@odata.count": 7, "value": []})
    assert directory(client).user_count() == 7
    assert graph.last_request.headers["ConsistencyLevel"] == "eventual"
    graph.get(f"{USERS}?$top=1&$count=true&$select=id", json={"value": []})
    assert directory(client).user_count() is None
    graph.get(f"{USERS}/$count", text="\ufeff12", headers={"Content-Type": "text/plain"})
    assert directory(client).user_count() == 12


def test_items_a_batch_leaves_out_are_errors(client, graph):
    graph.post(f"{BASE}/v1.0/$batch", json={"responses": []})
    assert isinstance(client.batch(["/a"])[0], SourceTransient)


ITEM = {"value": [{"id": "1"}]}


def answered(graph, *rounds):
    """``$batch`` answers with these, each a list of (status, body) in the order of the requests; None leaves one out."""
    answers = iter(rounds)

    def batch(request, _context):
        asked = [item["id"] for item in request.json()["requests"]]
        pairs = [(i, answer) for i, answer in zip(asked, next(answers), strict=True) if answer]
        return {
            "responses": [{"id": i, "status": s, "headers": h, "body": b} for i, (s, h, b) in reversed(pairs)]
        }

    graph.post(f"{BASE}/v1.0/$batch", json=batch)


def test_what_is_asked_ahead_is_given_once_in_any_order(client, graph):
    link = f"{USERS}/delta?$deltatoken=abc"
    answered(graph, [(200, {}, {"id": "t"}), (200, {}, ITEM)])
    graph.get(f"{BASE}/v1.0/organization", json={"id": "new"})
    client.ask_ahead(["/organization", link])
    assert [i["url"] for i in graph.last_request.json()["requests"]] == [
        "/organization",
        "/users/delta?$deltatoken=abc",
    ]
    assert (client.get(link), client.get("/organization"), client.meter.requests) == (ITEM, {"id": "t"}, 1)
    assert client.get("/organization") == {"id": "new"}


def test_G5_what_is_asked_ahead_waits_as_long_as_microsoft_says(client, graph, waits):
    throttled = (429, {"Retry-After": "3"}, error("TooManyRequests"))
    answered(graph, [(200, {}, {"id": "t"}), throttled], [(200, {}, ITEM)])
    client.ask_ahead(["/organization", "/groups"])
    assert (client.get("/groups"), waits, client.meter.requests) == (ITEM, [3.0], 2)


def test_G3_a_link_that_is_refused_ahead_is_refused_when_its_turn_comes(client, graph):
    link = f"{USERS}/delta?$deltatoken=abc"
    answered(graph, [(410, {}, error("syncStateNotFound"))])
    client.ask_ahead([link])
    with pytest.raises(SourceGone):
        list(directory(client).users_delta(link))
    assert client.meter.requests == 1


@pytest.mark.parametrize(
    "answer",
    [(401, {}, error("InvalidAuthenticationToken")), (403, {}, error("Authorization_RequestDenied")), None],
    ids=["token", "permission", "left out"],
)
def test_what_is_refused_to_a_token_ahead_is_asked_for_alone(client, graph, answer):
    answered(graph, [(200, {}, {"id": "t"}), answer])
    graph.get(f"{BASE}/v1.0/groups", json=ITEM)
    client.ask_ahead(["/organization", "/groups"])
    assert (client.get("/organization"), client.get("/groups"), client.meter.requests) == (
        {"id": "t"},
        ITEM,
        2,
    )


def test_without_batch_what_is_asked_ahead_is_asked_for_alone(client, graph):
    graph.post(f"{BASE}/v1.0/$batch", status_code=404, json=error("ResourceNotFound"))
    graph.get(f"{BASE}/v1.0/organization", json={"id": "t"})
    client.ask_ahead(["/organization"])
    assert (client.get("/organization"), client.meter.requests) == ({"id": "t"}, 2)


def test_G6_a_link_that_leads_elsewhere_is_not_asked_ahead(client, graph):
    link = "https://elsewhere.example/v1.0/users/delta"
    client.ask_ahead([link])
    with pytest.raises(SourceBadAnswer):
        client.get(link)
    assert graph.request_history == []


class Turns:
    """A SlowLimiter that never makes anybody wait and says what was asked of it."""

    def __init__(self):
        self.taken, self.held = 0, []

    def acquire(self, wait):
        self.taken += 1
        return 0.0

    def block_for(self, seconds):
        self.held.append(seconds)


def directory(client, turns=None):
    return GraphDirectory(client, turns or Turns())


def test_L2_a_delta_read_without_its_last_link_is_an_error(client, graph):
    graph.get(f"{USERS}/delta", json={"value": [{"id": "a"}]})
    with pytest.raises(SourceBadAnswer):
        list(directory(client).users_delta(None))


def test_G6_a_foreign_delta_link_is_never_kept(client, graph):
    graph.get(f"{USERS}/delta", json={"value": [], "@odata.deltaLink": "https://evil.example/x"})
    with pytest.raises(SourceBadAnswer):
        list(directory(client).users_delta(None))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "Request_BadRequest"),
        (400, "syncStateNotFound"),
        (404, "Request_ResourceNotFound"),
        (410, "resyncRequired"),
        (410, ""),
    ],
)
def test_G3_however_a_stored_link_is_refused_it_is_gone(client, graph, status, code):
    graph.get(f"{USERS}/delta?token=old", status_code=status, json=error(code))
    with pytest.raises(SourceGone):
        list(directory(client).users_delta(f"{USERS}/delta?token=old"))


@pytest.mark.parametrize("status", [400, 404, 501])
def test_a_first_delta_request_that_is_refused_is_not_gone(client, graph, status):
    graph.get(f"{USERS}/delta", status_code=status, json=error("Request_UnsupportedQuery"))
    with pytest.raises(SourceRejected) as caught:
        list(directory(client).users_delta(None))
    assert caught.value.status == status


@pytest.mark.parametrize("status", [404, 501])
def test_D3_a_list_that_is_not_offered_is_a_refusal_that_stays(client, graph, status):
    graph.get(mocking.ANY, status_code=status, json=error(""))
    found = directory(client)
    for read_list in (
        found.subscribed_skus,
        lambda: list(found.registration_details()),
        lambda: list(found.managed_devices()),
        lambda: list(found.sign_ins(None)),
    ):
        with pytest.raises(SourceRejected) as caught:
            read_list()
        assert caught.value.status == status
    assert found.user_count() is None


def test_C4_a_server_that_is_no_graph_is_told_apart(client, graph):
    graph.get(mocking.ANY, status_code=404, text="nothing here")
    with pytest.raises(SourceBadAnswer) as caught:
        directory(client).organization()
    assert "MICROSOFT_GRAPH_URL" in caught.value.advice


def test_C4_a_token_that_cannot_be_read_says_nothing_about_consent(client, graph):
    graph.get(mocking.ANY, json={"value": [{"id": "a"}]})
    assert {line.state for line in directory(client).check()} == {"ok"}


def test_S6_a_group_that_is_gone_is_none_and_never_an_empty_one(client, graph):
    answers = {
        "/groups/g1": {"status": 404, "body": error("Request_ResourceNotFound")},
        "/groups/g2": {
            "status": 200,
            "body": {
                "value": [
                    {"id": "A", "@odata.type": "#microsoft.graph.user"},
                    {"id": "n", "@odata.type": "#microsoft.graph.group"},
                ],
                "@odata.nextLink": f"{BASE}/v1.0/more",
            },
        },
    }
    graph.post(
        f"{BASE}/v1.0/$batch",
        json=lambda r, _c: {
            "responses": [
                {"id": i["id"], **answers[i["url"].split("/transitive")[0]]} for i in r.json()["requests"]
            ]
        },
    )
    graph.get(f"{BASE}/v1.0/more", json={"value": [{"id": "B"}]})
    assert directory(client).transitive_members(["g1", "g2"]) == {"g1": None, "g2": frozenset({"a", "b"})}


def test_D3_no_intune_is_a_missing_license(client, graph):
    graph.get(
        f"{BASE}/v1.0/deviceManagement/managedDevices",
        status_code=400,
        json=error("BadRequest", "Request not applicable to target tenant."),
    )
    with pytest.raises(SourceLicenseMissing):
        list(directory(client).managed_devices())


def test_a_registration_report_without_top_is_asked_again_bare(client, graph):
    path = f"{BASE}/v1.0/reports/authenticationMethods/userRegistrationDetails"
    graph.get(path, json={"value": [{"id": "a"}]})
    graph.get(f"{path}?$top=999", status_code=400, json=error("BadRequest"))
    assert list(directory(client).registration_details()) == [[{"id": "a"}]]


def test_T7_every_sign_in_request_takes_a_turn_and_a_429_holds_all_tenants_back(client, graph):
    turns = Turns()
    graph.get(USERS, [
        {"json": {"value": [{"id": "a"}], "@odata.nextLink": f"{USERS}?$skiptoken=2"}},
        {"status_code": 429, "headers": {"Retry-After": "7"}, "json": error("TooManyRequests")},
        {"json": {"value": [{"id": "b"}]}},
    ])  # fmt: skip
    reader = directory(client, turns)
    assert [item["id"] for page in reader.sign_ins(None) for item in page] == ["a", "b"]
    assert (turns.taken, turns.held) == (3, [7.0])
    graph.get(f"{BASE}/v1.0/organization", json={"value": [{"id": "t"}]})
    reader.organization()
    assert turns.taken == 3
    graph.get(USERS, status_code=429, headers={"Retry-After": "86400"}, json=error("TooManyRequests"))
    with pytest.raises(SourceThrottled):
        list(reader.sign_ins(None))
    assert turns.held == [7.0, 60.0]


def test_T7_what_changed_since_is_asked_for_with_that_filter_alone(client, graph):
    graph.get(USERS, json={"value": [{"id": "a"}]})
    reader = directory(client)
    list(reader.sign_ins(None))
    assert "$filter" not in graph.last_request.qs
    list(reader.sign_ins(datetime(2026, 11, 23, 9, 0, 5, 123, tzinfo=timezone(timedelta(hours=1)))))
    assert graph.last_request.qs["$filter"] == ["signinactivity/lastsignindatetime ge 2026-11-23t08:00:05z"]


@pytest.mark.parametrize("status", [429, 503])
def test_G5_a_long_retry_after_names_the_time_to_the_second(client, graph, status):
    graph.get(
        f"{BASE}/v1.0/a",
        status_code=status,
        headers={"Retry-After": "7200"},
        json=error("ServiceUnavailable"),
    )
    with pytest.raises(SourceThrottled) as caught:
        client.get("/a")
    assert caught.value.retry_at == client.now() + timedelta(hours=2)
    graph.post(
        f"{BASE}/v1.0/$batch",
        json={"responses": [{"id": "0", "status": status, "headers": {"Retry-After": "7200"}, "body": {}}]},
    )
    (found,) = client.batch(["/a"])
    assert found.retry_at == client.now() + timedelta(hours=2)


@pytest.mark.parametrize(("roles", "state"), [(["AuditLog.Read.All"], "ok"), ([], "error")])
def test_T7_C4_a_check_while_all_turns_are_taken_does_not_call_the_connection_broken(
    client, graph, roles, state
):
    class Full(Turns):
        def acquire(self, wait):
            raise SourceTransient("Microsoft is slow or busy just now.", code="busy")

    reader = directory(client, Full())
    (found,) = [reader._checked(*line) for line in reader._lines(roles) if line[0] == "Last sign-in"]
    assert found.state == state


def test_an_answer_is_read_as_json_once(client, graph, monkeypatch):
    graph.get(USERS, json={"value": [{"id": "u1"}]})
    read, parse = [], answers.Answer.document.func
    monkeypatch.setattr(answers.Answer.document, "func", lambda answer: read.append(answer) or parse(answer))
    assert client.get("/users") == {"value": [{"id": "u1"}]}
    assert len(read) == 1


def test_the_environment_is_looked_through_once(client, graph, monkeypatch):
    graph.get(USERS, json={"value": []})
    connections.start_afresh()
    looked, find = [], requests.Session.merge_environment_settings

    def note(*arguments):
        looked.append(arguments)
        return find(*arguments)

    monkeypatch.setattr(requests.Session, "merge_environment_settings", note)
    for _ in range(3):
        client.get("/users")
        client.close()
        client._had_trouble = False  # noqa: SLF001
    assert len(looked) == 1
    connections.start_afresh()
    client.get("/users")
    assert len(looked) == 2
