"""O2: where alerts go is read strictly; its secrets are in no log; what is inside our network is reached only when meant."""

import logging
import socket
from urllib.parse import urlsplit

import pytest
import requests
from requests_mock import ANY
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from portal.alerts import delivery, targets
from portal.clock import utcnow
from portal.crypto import SecretBox
from portal.errors import Invalid
from portal.models import Base, StoredSetting

NOTICE = delivery.Notice("test", "A title", "A body")
FULL = "jsons://ann:hunter2secret@hooks.example/hunter2secret"


def problem_with(url, *, is_local=False):
    """What is said of an address; None when it is taken."""
    try:
        target = targets.parse(url, is_local=is_local)
        return None if delivery._plugin(target) else delivery.INCOMPLETE
    except Invalid as error:
        return error.errors["address"][0]


@pytest.mark.parametrize(
    "url",
    [
        "mailtos://ann:pa55@mail.example?to=bo@x.example&from=rollcall@x.example&name=Rollcall%20alerts&smtp=smtp.mail.example&mode=starttls",
        "mailto://ann%40x.example:p%40ss%20w%2Ford@mail.example:2525",
        "json://ann:pa55@hooks.example:8080/some/path",
        "jsons://hooks.example",
        "JSONS://hooks.example",
        "jsons://bücher.example/hook",
        "jsons://[2001:4860:4860::8888]/hook",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general",
        "slack://xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d/#general?footer=no",
        "workflows://prod-1.logic.azure.com:443/643e69f83c8944/abcdefghijklm_no?api-version=2016-06-01",
        "opsgenie://eb243592-faa2-4ba2-a551-1afdf565c889?region=eu&priority=high",
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js?thread=5",
        "gotifys://push.example/hubs/hunter2secret?priority=high",
        "ntfy://hunter2secret",
        "ntfys://tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2@ntfy.example/topic?auth=token&priority=high",
    ],
)
def test_what_is_offered_is_taken_and_reaches_what_it_names(url):
    assert problem_with(url) is None
    target = targets.parse(url)
    assert targets.parse(target.url) == target
    assert not set(target.url) & set(" ,\t\n")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("jsons://hooks.example form://10.0.0.1/", "cannot contain spaces"),
        ("jsons://hooks.example\tform://10.0.0.1/", "cannot contain spaces"),
        ("jsons://hooks.example\u00a0form://10.0.0.1/", "cannot contain spaces"),
        ("jsons://hooks.example/a%0d%0ab", "control characters"),
        ("mailtos://ann:x@mail.example?from=a%0ab", "control characters"),
        ("mailtos://ann%00:x@mail.example", "control characters"),
        ("jsons://hooks.example?method=DELETE", "parameter that is not supported"),
        ("jsons://hooks.example?+X-Header=1", "parameter that is not supported"),
        ("jsons://hooks.example?%2BX-Header=1", "parameter that is not supported"),
        ("jsons://hooks.example?-q=1", "parameter that is not supported"),
        ("jsons://hooks.example?:key=1", "parameter that is not supported"),
        ("jsons://hooks.example?redirect=yes", "parameter that is not supported"),
        ("jsons://hooks.example?verify=no", "parameter that is not supported"),
        ("workflows://h.example/a/b?template=/etc/passwd", "parameter that is not supported"),
        ("workflows://h.example/a/b?Template=/etc/passwd", "parameter that is not supported"),
        (
            "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ?template=http://10.0.0.1/",
            "parameter that is not supported",
        ),
        ("discord://1/2?avatar_url=http://10.0.0.1/", "parameter that is not supported"),
        ("ntfys://ntfy.example/topic?attach=http://10.0.0.1/", "parameter that is not supported"),
        (
            "ntfy://10.0.0.1/?mode=private",
            "parameter that is not supported",
        ),  # without a topic it would be one at ntfy.sh
        ("ntfys://10.0.0.1?mode=PRIVATE", "parameter that is not supported"),
        ("mailtos://ann:x@mail.example?pgpprv=/etc/passwd", "parameter that is not supported"),
        ("gotify://h.example/t?priority=high&priority=low", "once each"),
        ("jsons://hooks.example?x", "cannot be read"),
        ("form://hooks.example", "not supported"),
        ("xmls://hooks.example", "not supported"),
        ("msteams://a/b/c", "not supported"),
        ("file:///etc/passwd", "not supported"),
        ("hooks.example", "not supported"),
        ("", "not supported"),
        ("jsons://", "not complete"),
        ("slack://hunter2secret", "not complete"),
        ("discord://hunter2secret", "not complete"),
        ("gotify://hunter2secret.example", "not complete"),
        ("jsons://h.example:99999/", "port"),
        ("jsons://h.example:/", "port"),
        ("jsons://h..example/", "host"),
        ("jsons://a,b.example/", "host"),
        ("jsons://h.example\\@10.0.0.1/", "inside your own network"),
        ("jsons://[::zz]/", "host"),
    ],
)
def test_everything_else_is_refused_without_repeating_it(caplog, url, told):
    caplog.set_level(logging.DEBUG)
    problem = problem_with(url)
    assert problem is not None and told in problem
    assert "hunter2secret" not in problem + caplog.text and "10.0.0.1" not in problem


LOCAL = [
    "json://127.0.0.1/x", "json://10.0.0.1/x", "json://192.168.1.5/x", "json://172.16.0.1/x", "json://169.254.169.254/latest",
    "json://[::1]/x", "json://[fe80::1]/x", "json://[fd00::1]/x", "json://[::ffff:10.0.0.1]/x", "json://[2002:a00:1::]/x",
    "json://[64:ff9b::a00:1]/x", "json://0.0.0.0/x", "json://100.64.0.1/x", "json://224.0.0.1/x", "json://localhost/x",
    "json://printer/x", "json://nas.local/x", "json://hook.internal./x", "mailto://ann:x@10.0.0.1?from=a@x.example", "ntfy://10.0.0.1/topic",
    "mailto://ann:x@mail.example?smtp=10.0.0.1", "gotify://10.0.0.1/token",
]  # fmt: skip


@pytest.mark.parametrize("url", LOCAL)
def test_what_is_inside_our_network_is_taken_only_when_an_administrator_says_so(url):
    assert problem_with(url) == targets.LOCAL_ADVICE
    assert problem_with(url, is_local=True) is None


def resolving(monkeypatch, *addresses):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: found)


def test_a_name_that_means_an_address_inside_is_refused_when_it_is_entered(monkeypatch):
    for addresses in (("10.0.0.1",), ("8.8.8.8", "127.0.0.1")):
        resolving(monkeypatch, *addresses)
        with pytest.raises(Invalid):
            targets.check_place(targets.parse("json://rebind.example/x"))
    targets.check_place(targets.parse("json://rebind.example/x", is_local=True))
    resolving(monkeypatch, "8.8.8.8")
    targets.check_place(targets.parse("json://rebind.example/x"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: (_ for _ in ()).throw(socket.gaierror))
    targets.check_place(targets.parse("json://gone.example/x"))


@pytest.fixture
def listening():
    """A port of ours, and what connected to it: nothing is accepted, so a connection shows as waiting."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def was_called(server):
    try:
        connection, _ = server.accept()
    except BlockingIOError:
        return False
    connection.close()
    return True


@pytest.mark.parametrize(
    "url", ["json://rebind.example:{port}/x", "mailto://ann:x@rebind.example:{port}?to=a@x.example"]
)
def test_a_name_that_means_an_address_inside_by_now_is_not_connected_to(monkeypatch, listening, url):
    """Checked where the connection is made: what the name meant when it was entered does not matter."""
    port = listening.getsockname()[1]
    target = targets.parse(url.format(port=port))
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: found)
    (told,) = delivery.deliver([target], NOTICE)
    assert told.problem == delivery.LOCAL
    assert not was_called(listening)


def test_others_may_connect_while_an_alert_is_sent(listening):
    socket.create_connection(listening.getsockname()).close()
    assert was_called(listening)


def test_redirects_are_not_followed(requests_mock):
    requests_mock.post(
        "https://hooks.example/hunter2secret",
        status_code=302,
        headers={"Location": "http://169.254.169.254/"},
    )
    elsewhere = requests_mock.register_uri(ANY, "http://169.254.169.254/")
    (told,) = delivery.deliver([targets.parse(FULL)], NOTICE)
    assert told.problem == delivery.NOT_ACCEPTED and not elsewhere.called


@pytest.mark.parametrize(
    "answer",
    [
        {"status_code": 401},
        {"status_code": 422, "text": "error=500 hunter2secret"},
        {"status_code": 503},
        {"exc": requests.ReadTimeout("Read timed out.")},
        {"exc": requests.ConnectionError("hunter2secret")},
        {"exc": ValueError("hunter2secret")},
    ],
)
def test_what_is_not_accepted_is_told_in_one_sentence_and_the_log_says_more(requests_mock, caplog, answer):
    caplog.set_level(logging.DEBUG)
    requests_mock.post(ANY, **answer)
    (told,) = delivery.deliver([targets.parse(FULL)], NOTICE)
    assert told == delivery.Delivery("jsons at hooks.example", delivery.NOT_ACCEPTED)
    assert "hunter2secret" not in str(
        [line.getMessage() for line in caplog.records if not line.name.startswith("requests_mock")]
    )
    ours = [line.getMessage() for line in caplog.records if line.name == "portal.alerts.delivery"]
    assert "delivered=0 of=1" in ours[-1] and len(ours) > 1
    assert "status_code" not in answer or str(answer["status_code"]) in ours[0]


def test_what_is_accepted_goes_as_it_was_entered(requests_mock):
    asked = requests_mock.post("https://hooks.example/hunter2secret", status_code=204)
    assert delivery.deliver([targets.parse(FULL)], NOTICE) == [delivery.Delivery("jsons at hooks.example")]
    assert asked.last_request.json()["title"] == "A title"
    assert asked.last_request.headers["Authorization"].startswith("Basic ")


def test_a_stored_target_that_is_no_longer_offered_stops_no_other(caplog):
    engine, box = create_engine("sqlite://"), SecretBox(["key"])
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for url in ("jsons://hooks.example/hunter2secret", "ntfy://topic"):
            delivery.add_target(session, box, targets.parse(url), now=utcnow(), by="")
        row = session.get(StoredSetting, delivery.KEY)
        stored = box.decrypt(row.secret, purpose=delivery.PURPOSE)
        row.secret = box.encrypt(stored.replace("jsons:", "forms:"), purpose=delivery.PURPOSE)
        assert [target.name for target in delivery.stored_targets(session, box).values()] == ["ntfy"]
    engine.dispose()
    assert "NoLongerOffered" in caplog.text and "hunter2secret" not in caplog.text


def test_nothing_answers_at_a_target_inside_our_network(caplog):
    caplog.set_level(logging.DEBUG)
    target = targets.parse("json://ann:hunter2secret@127.0.0.1:9/hunter2secret", is_local=True)
    assert delivery.deliver([target], NOTICE) == [
        delivery.Delivery("json at 127.0.0.1", delivery.NOT_ACCEPTED)
    ]
    assert "hunter2secret" not in caplog.text


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("slack://hunter2secret/b/c", "slack"),
        ("discord://4174216298/hunter2secret", "discord"),
        ("ntfy://hunter2secret", "ntfy"),
        ("mailtos://ann:hunter2secret@mail.example?to=bo@x.example", "mailtos at mail.example"),
        ("gotify://push.example/hunter2secret", "gotify at push.example"),
    ],
)
def test_a_target_is_named_by_its_host_only_where_that_is_no_token(url, name):
    target = targets.parse(url)
    assert target.name == name
    assert urlsplit(target.url).scheme == target.kind
