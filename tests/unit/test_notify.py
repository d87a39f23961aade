"""O2: alert targets hold secrets: no log repeats them, not even of an address that cannot be used."""

import logging

import pytest
import requests
from requests_mock import ANY

from portal import notify

NOTICE = notify.Notice("test", "A title", "A body")


@pytest.mark.parametrize(
    "url", ["slack://hunter2secret", "discord://hunter2secret", "gotify://hunter2secret", "mailtos://ann:hunter2secret@"]
)
def test_an_incomplete_target_is_refused_without_repeating_it(caplog, url):
    caplog.set_level(logging.DEBUG)
    problem = notify.problem_with(url)
    assert problem is not None
    assert "hunter2secret" not in problem + caplog.text


def test_a_target_that_takes_nothing_is_logged_by_its_kind_only(caplog):
    caplog.set_level(logging.DEBUG)
    url = "json://ann:hunter2secret@127.0.0.1:9/hunter2secret"
    (told,) = notify.deliver([url], NOTICE)
    assert told == notify.Delivery("json at 127.0.0.1", "Nothing answers at its host and port: the connection was refused.")
    assert "delivered=0 of=1" in caplog.text and "hunter2secret" not in caplog.text


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status_code": 204}, ""),
        ({"status_code": 401}, "It does not accept the user, password or token in the address. (HTTP 401)"),
        ({"status_code": 404}, "It knows no such address: the webhook may have been removed. (HTTP 404)"),
        ({"status_code": 422, "text": "error=500 hunter2secret"}, "It does not accept the message. (HTTP 422)"),
        ({"status_code": 503}, "It has trouble of its own. (HTTP 503)"),
        ({"exc": requests.ReadTimeout("Read timed out.")}, "It did not answer in time."),
        ({"exc": requests.ConnectionError("url: /certificate (Caused by NameResolutionError('Failed to resolve'))")}, "Its host cannot be found."),
        ({"exc": requests.ConnectionError("hunter2secret")}, "The connection failed."),
    ],
)
def test_what_a_target_answers_is_told_in_words_without_its_secrets(requests_mock, caplog, answer, words):
    caplog.set_level(logging.DEBUG)
    requests_mock.post(ANY, **answer)
    (told,) = notify.deliver(["jsons://ann:hunter2secret@hooks.example/hunter2secret"], NOTICE)
    assert told == notify.Delivery("jsons at hooks.example", words)
    assert "hunter2secret" not in str([line.getMessage() for line in caplog.records if not line.name.startswith("requests_mock")])


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
    assert notify.name_of(url) == name
