"""Lists are cut into parts, and what belongs together stays together."""

from hypothesis import given, settings
from hypothesis import strategies as st

from portal.engine.batches import fill, together

PAIRS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=30)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(PAIRS)
def test_no_two_groups_have_a_key_in_common_and_nothing_is_lost(pairs):
    items = list(enumerate(pairs))
    groups = together(items, lambda item: item[1])
    assert sorted(item for group in groups for item in group) == items
    keys = [{key for _, pair in group for key in pair} for group in groups]
    assert all(not one & other for n, one in enumerate(keys) for other in keys[n + 1 :])
    assert [group[0] for group in groups] == sorted(group[0] for group in groups)


def test_a_group_is_no_larger_than_its_keys_ask_for():
    assert together(["ab", "cd", "be", "fg", "ea"], str) == [["ab", "be", "ea"], ["cd"], ["fg"]]
    assert together([], str) == []


def test_parts_are_filled_with_whole_groups():
    groups = [["a"], ["b", "c", "d"], ["e"]]
    assert fill(groups, 0, 2) == (["a", "b", "c", "d"], 2)
    assert fill(groups, 2, 2) == (["e"], 3)
    assert fill([[]], 0, 5) == ([], 1)
