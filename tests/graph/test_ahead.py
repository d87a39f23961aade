import threading

import pytest

from portal.graph.ahead import read_ahead


def test_G3_the_next_page_is_asked_for_while_one_is_worked_on():
    asked = [threading.Event() for _ in range(3)]

    def pages():
        for number, event in enumerate(asked):
            event.set()
            yield number

    found = read_ahead(pages())
    assert next(found) == 0
    assert asked[1].wait(10)
    assert list(found) == [1, 2]


def test_L2_what_breaks_a_page_off_is_told_in_its_turn():
    def pages():
        yield 1
        raise ValueError("broken off")

    found = read_ahead(pages())
    assert next(found) == 1
    with pytest.raises(ValueError, match="broken off"):
        next(found)


def test_G4_who_ends_early_leaves_nothing_behind():
    asked, before = [], threading.active_count()

    def pages():
        for number in range(10):
            asked.append(number)
            yield number

    found = read_ahead(pages())
    next(found)
    found.close()
    assert asked == [0, 1]
    assert threading.active_count() == before


def test_L2_no_page_at_all_is_none():
    assert list(read_ahead(iter(()))) == []


def test_no_thread_is_begun_for_a_page_that_is_the_last():
    threads = []

    def pages():
        threads.append(threading.current_thread())
        yield "last"
        threads.append(threading.current_thread())

    assert list(read_ahead(pages(), lambda page: page == "last")) == ["last"]
    assert threads == [threading.current_thread()] * 2
