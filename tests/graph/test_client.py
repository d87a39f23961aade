"""Lists of Microsoft Graph: each page from its own link, and no token for anybody else."""

import pytest
import requests
import requests_mock as mocking

from portal.errors import SourceBadAnswer, SourceRejected, SourceTransient, Stopped
from portal.graph import answers, connections
from tests.graph.exchange import USERS, error, read


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


@pytest.mark.parametrize("body", [b'{"value": [1', b"[]", b"null", b'{"value": 5}', b'{"other": 1}'])
def test_L2_a_body_that_is_no_page_is_an_error(client, graph, body):
    graph.get(USERS, content=body, headers={"Content-Type": "application/json"})
    with pytest.raises((SourceBadAnswer, SourceTransient)):
        read(client)


def test_G8_half_an_emoji_does_not_cost_the_page(client, graph, waits):
    graph.get(
        USERS,
        content=b'{"value": [{"id": "a", "displayName": "Mila \\ud83d"}, {"id": "b", "displayName": "\\ud83d\\ude00"}]}',
        headers={"Content-Type": "application/json"},
    )
    assert [item["displayName"] for item in read(client)] == ["Mila \ufffd", "\U0001f600"]
    assert waits == []


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


def test_stopping_is_asked_before_each_request(client, graph):
    def stop():
        raise Stopped

    client.stop = stop
    with pytest.raises(Stopped):
        client.get("/users")
    assert graph.request_history == []


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
