"""WorkerSlots (G5): whoever waits for Microsoft lets others work, and says that it lives on."""

import itertools

import pytest

from portal import clock
from portal.errors import Stopped
from portal.worker.slots import ALIVE_SECONDS, WorkerSlots


class Event:
    """Stands for the process's end; waiting takes no time and is written down."""

    def __init__(self, ends_after=None):
        self.waited, self.ends_after = [], ends_after

    def wait(self, seconds):
        self.waited.append(seconds)
        return self.is_set()

    def is_set(self):
        return self.ends_after is not None and len(self.waited) >= self.ends_after


def test_G5_a_seat_is_free_for_others_while_its_holder_waits():
    slots, free = WorkerSlots(1, Event()), []

    def alive():
        with slots.acquire():
            free.append(True)

    with slots.acquire():
        slots.sleep_released(1, alive)
        assert not slots._free.acquire(blocking=False), "it is taken again afterwards"
    assert free == [True]


def test_G4_G5_a_long_wait_says_in_between_that_its_holder_lives():
    said, event = [], Event()
    slots = WorkerSlots(1, event)
    with slots.acquire():
        slots.sleep_released(ALIVE_SECONDS * 2.5, lambda: said.append(len(event.waited)))
    assert event.waited == [ALIVE_SECONDS, ALIVE_SECONDS, ALIVE_SECONDS / 2]
    assert said == [0, 1, 2], "before each part"


def test_G4_G5_also_while_all_slots_are_taken(monkeypatch):
    said = []
    slots = WorkerSlots(1, Event())

    def alive():
        if not said:
            assert slots._free.acquire(blocking=False), "somebody else sits down meanwhile"
        else:
            slots._free.release()
        said.append(True)

    monkeypatch.setattr(clock, "monotonic", itertools.count(0, ALIVE_SECONDS).__next__)
    monkeypatch.setattr("portal.worker.slots.LOOK_SECONDS", 0.001)
    with slots.acquire():
        slots.sleep_released(1, alive)
    assert len(said) == 2


def test_O2_the_end_of_the_process_ends_a_wait_and_leaves_every_seat():
    slots = WorkerSlots(1, Event(ends_after=1))
    with pytest.raises(Stopped), slots.acquire():
        slots.sleep_released(1000, lambda: None)
    assert slots._free.acquire(blocking=False)
