"""O2: alert targets hold secrets: no log repeats them, not even of an address that cannot be used."""

import logging

import pytest

from portal import notify


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
    assert notify.deliver([url], notify.Notice("test", "A title", "A body")) == 0
    assert "delivered=0 of=1" in caplog.text and "hunter2secret" not in caplog.text
