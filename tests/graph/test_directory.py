"""A tenant as the engine reads it: delta links, groups, licenses, reports, and the turns of slow requests."""

from datetime import datetime, timedelta, timezone

import pytest
import requests_mock as mocking

from portal.errors import (
    SourceBadAnswer,
    SourceGone,
    SourceLicenseMissing,
    SourceRejected,
    SourceThrottled,
    SourceTransient,
)
from tests.graph.exchange import BASE, USERS, Turns, directory, error


def test_L2_the_number_of_users_comes_from_either_place(client, graph):
    graph.get(f"{USERS}/$count", status_code=404, json=error("Request_ResourceNotFound"))
    graph.get(f"{USERS}?$top=1&$count=true&$select=id", json={"@odata.count": 7, "value": []})
    assert directory(client).user_count() == 7
    assert graph.last_request.headers["ConsistencyLevel"] == "eventual"
    graph.get(f"{USERS}?$top=1&$count=true&$select=id", json={"value": []})
    assert directory(client).user_count() is None
    graph.get(f"{USERS}/$count", text="\ufeff12", headers={"Content-Type": "text/plain"})
    assert directory(client).user_count() == 12


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
