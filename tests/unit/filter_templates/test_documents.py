"""What a template means in a tenant: name patterns, parts that differ, parts that are kept (F2)."""

import pytest

from portal.errors import Invalid
from portal.filter_templates import documents
from portal.filter_templates.documents import Group


def body(**changes):
    found = documents.default_body()
    found["filters"] = {**found["filters"], **changes.pop("filters", {})}
    return {**found, **changes}


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("Staff", "staff ", True),
        ("Staff", "Staff – Sales", False),
        ("Staff*", "STAFF – Sales", True),
        ("*staff", "All Staff", True),
        ("*staff*", "The staff of Rome", True),
        ("a*b*c", "a--b--c", True),
        ("a*b*c", "a--c--b", False),
        ("ab*ba", "aba", False),
        ("*", "", True),
        ("a.c", "abc", False),
        ("*".join("a" * 60), "a" * 1000 + "b", False),
    ],
)
def test_F2_a_pattern_fits_names_as_texts_compare(pattern, name, fits):
    assert documents.fits(pattern, name) is fits


def test_F2_groups_are_found_by_name_in_each_tenant():
    wanted = body(filters={"group": {"all": False, "name_patterns": ["Staff*", "Nobody*"]}})
    found = documents.resolve(
        wanted, [Group("g2", "Staff – Sales"), Group("g1", "Staff"), Group("g3", "Guests")]
    )
    assert found.body["filters"]["group"] == {"all": False, "values": ["g1", "g2"]}
    assert found.unmatched == ["Nobody*"] and not found.accepts_nobody
    assert documents.resolve(wanted, []).accepts_nobody


def test_F2_whatever_cannot_be_is_said_per_section():
    bad = body(
        filters={
            "department": {"all": False, "values": []},
            "group": {"all": False, "name_patterns": ["  "]},
        },
        hold={"percent": 101, "minimum": 10},
    )
    with pytest.raises(Invalid) as raised:
        documents.parse(bad)
    assert set(raised.value.errors) == {"filters.department", "filters.group", "hold.percent"}


def test_F2_what_an_organization_departs_in_is_kept_and_nothing_else():
    own = documents.resolve(body(filters={"department": {"all": False, "values": ["Sales"]}}), []).body
    applied = documents.resolve(body(), []).body
    parts = documents.different_parts(own, applied)
    assert parts == ["department"]
    changed = documents.resolve(body(only_licensed=True), []).body
    kept = documents.with_parts(changed, own, parts)
    assert kept["filters"]["department"] == {"all": False, "values": ["Sales"]} and kept["only_licensed"]
    assert documents.different_parts(kept, changed) == ["department"]


def test_S3_spelling_and_order_are_no_difference():
    one = documents.resolve(body(filters={"department": {"all": False, "values": ["Sales ", "IT"]}}), []).body
    other = documents.resolve(
        body(filters={"department": {"all": False, "values": ["it", "sales"]}}), []
    ).body
    assert documents.different_parts(one, other) == []
