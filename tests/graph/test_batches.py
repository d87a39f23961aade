"""Many requests in one: what of them is asked again, and what is asked ahead."""

import pytest

from portal.errors import SourceBadAnswer, SourceGone, SourceTransient
from portal.graph.answers import ObjectMissing
from tests.graph.exchange import BASE, USERS, answered, directory, error


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


def test_items_a_batch_leaves_out_are_errors(client, graph):
    graph.post(f"{BASE}/v1.0/$batch", json={"responses": []})
    assert isinstance(client.batch(["/a"])[0], SourceTransient)


ITEM = {"value": [{"id": "1"}]}


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
