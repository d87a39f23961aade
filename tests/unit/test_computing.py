"""Few requests compute at once, first come, first served, and nobody keeps the others waiting for long."""

import threading

from portal import clock
from portal.operations import computing
from portal.operations.computing import Slots, one_of_few
from portal.operations.write_queue import WriteQueue


class Client:
    """A thread that takes a slot and keeps it until it is told."""

    def __init__(self, slots, order=None):
        self.has_it, self.end = threading.Event(), threading.Event()

        def work():
            with slots.held():
                if order is not None:
                    order.append(self)
                self.has_it.set()
                self.end.wait(30)

        self.thread = threading.Thread(target=work)
        self.thread.start()

    def leave(self):
        self.end.set()
        self.thread.join()


def waiting(slots, number):
    while len(slots._waiting) != number:  # noqa: SLF001
        pass


def test_only_a_few_compute_and_the_next_is_who_came_first():
    slots, order = Slots(2, seconds=1000), []
    inside = [Client(slots, order), Client(slots, order)]
    for one in inside:
        assert one.has_it.wait(30)
    later = []
    for n in range(3):
        later.append(Client(slots, order))
        waiting(slots, n + 1)
    assert not any(one.has_it.is_set() for one in later)
    for one, following in zip((*inside, later[0]), later, strict=True):
        one.leave()
        assert following.has_it.wait(30)  # two who are let in at once may tell so in either order
    for one in later[1:]:
        one.leave()
    assert order[2:] == later


def test_who_computes_for_long_loses_its_slot(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    slots = Slots(1, seconds=5)
    long = Client(slots)
    assert long.has_it.wait(30)
    short = Client(slots)
    waiting(slots, 1)
    now[0] = 4.9
    waiting(slots, 1)
    assert not short.has_it.is_set()
    now[0] = 5.0
    assert short.has_it.wait(30)
    long.leave()
    third = Client(slots)
    waiting(slots, 1)  # what had ended was not given back a second time
    short.leave()
    assert third.has_it.wait(30)
    third.leave()


def test_who_waits_lends_its_slot():
    slots = Slots(1, seconds=1000)
    with slots.held():
        with slots.lent():
            other = Client(slots)
            assert other.has_it.wait(30)
            other.leave()
        another = Client(slots)
        waiting(slots, 1)
    assert another.has_it.wait(30)
    another.leave()


def test_who_waits_for_the_write_lock_lends_its_slot_and_goes_on_at_once(monkeypatch):
    slots, queue, wrote = Slots(1, seconds=1000), WriteQueue(), threading.Event()
    monkeypatch.setattr("portal.operations.write_queue.slots", slots)
    assert queue.enter(1, is_request=False)

    def write():
        with slots.held():
            assert queue.enter(30, is_request=False)
            wrote.set()
            queue.leave()

    thread = threading.Thread(target=write)
    thread.start()
    while not queue._work:  # noqa: SLF001
        pass
    reader = Client(slots)
    assert reader.has_it.wait(30)
    queue.leave()
    assert wrote.wait(30)  # though the only slot is the reader's
    reader.leave()
    thread.join()
    assert not slots._since  # noqa: SLF001


def test_whether_the_portal_lives_is_answered_without_waiting(monkeypatch):
    slots = Slots(1, seconds=1000)
    monkeypatch.setattr(computing, "slots", slots)
    app = one_of_few(lambda environ, _start: [environ["PATH_INFO"].encode()])
    with slots.held():
        assert app({"PATH_INFO": "/healthz"}, None) == [b"/healthz"]
    assert app({"PATH_INFO": "/"}, None) == [b"/"]
    assert not slots._since  # noqa: SLF001
