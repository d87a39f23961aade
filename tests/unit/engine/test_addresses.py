"""Whose a key is after everybody moved (W4): swaps, chains and rings, for addresses and for anything else that is a key."""

import random as random_module

import pytest

from portal.engine.plan.addresses import settle


def test_W4_people_who_swap_get_what_they_want():
    assert settle({"a": 2, "b": 1}, {1: "a", 2: "b"}) == {}


def test_W4_what_somebody_keeps_nobody_gets():
    assert settle({"a": "x"}, {"x": "b"}) == {"a": "b"}
    assert settle({"a": "x"}, {"x": "b"}, leaving={"b"}) == {}
    assert settle({"a": "x"}, {"x": "a"}) == {}, "one's own"
    assert settle({"a": "x", "b": "x"}, {"x": "b"}) == {"a": "b"}, "who has it goes before who wants it"


def test_W4_of_several_the_first_gets_what_becomes_free():
    assert settle({"b": "x", "a": "x"}, {}) == {"a": "b"}
    assert settle({"h": "y", "b": "x", "a": "x"}, {"x": "h"}) == {"a": "b"}
    assert settle({"h": "y", "b": "x", "a": "x"}, {"x": "h", "y": "s"}) == {"h": "s", "b": "h", "a": "h"}


def test_W4_who_cannot_move_stands_in_the_way_of_all_that_follow():
    """d → c → b → a, and a wants what s keeps; r1 and r2 swap beside them."""
    wanted = {"a": "s", "b": "a", "c": "b", "d": "c", "r1": "r2", "r2": "r1"}
    holders = {name: name for name in ("a", "b", "c", "d", "r1", "r2", "s")}
    assert settle(wanted, holders) == {"a": "s", "b": "a", "c": "b", "d": "c"}


def test_W4_a_ring_turns_and_two_who_want_one_key_stop_only_each_other():
    ring = {n: (n + 1) % 2000 for n in range(2000)}
    holders = {n: n for n in range(2000)}
    assert settle(ring, holders) == {}
    assert settle({**ring, "x": 5}, holders) == {"x": 4}, "who was in the ring goes first"
    assert len(settle({**ring, 7: 3000}, {**holders, 3000: "stays"})) == 2000


def test_W4_who_holds_two_keys_leaves_both_or_none():
    holders = {1: "a", 2: "a", 9: "s"}
    assert settle({"a": 3, "b": 1, "c": 2}, holders) == {}
    assert settle({"a": 9, "b": 1, "c": 2}, holders) == {"a": "s", "b": "a", "c": "a"}


@pytest.mark.parametrize("seed", range(300))
def test_W4_it_is_what_one_finds_by_asking_again_until_nothing_changes(seed):
    random = random_module.Random(seed)
    owners = list(range(random.randint(1, 12)))
    holders = {key: owner for key, owner in enumerate(owners) if random.random() < 0.8}
    keys = random.sample(range(14), 14)
    wanted = {owner: keys[owner] for owner in owners if random.random() < 0.7}
    leaving = {owner for owner in owners if owner not in wanted and random.random() < 0.3}
    assert settle(wanted, holders, leaving).keys() == asked_again(wanted, holders, leaving)


def asked_again(wanted, holders, leaving):
    refused = set()
    while True:
        free = (wanted.keys() - refused) | leaving
        more = {
            owner
            for owner in wanted.keys() - refused
            if (holder := holders.get(wanted[owner])) is not None and holder != owner and holder not in free
        }
        if not more:
            return refused
        refused |= more
