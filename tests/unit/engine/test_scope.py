import pytest

from portal.engine.records import SECTIONS, FilterSpec, SectionFilter
from portal.engine.scope import count_matches, prepare, spec_from_json, spec_to_json
from tests.unit.engine.builders import only, remote

NONE = frozenset()
MILA = remote("mila", "mila@x.example", department="Sales ", office_location="Hal 2", user_type="Member")


def accepts(user, spec, groups=NONE, deleted=()):
    return prepare(spec, deleted).accepts(user, frozenset(groups))


def test_S1_every_section_must_accept_and_within_one_any_value():
    assert accepts(MILA, only(department=["IT", "Sales"], office_location=["Hal 2"]))
    assert not accepts(MILA, only(department=["Sales"], office_location=["Hal 3"]))


def test_S2_all_accepts_everything_and_none_accepts_blank():
    blank = remote("b", "b@x.example")
    assert accepts(blank, FilterSpec())
    assert accepts(blank, only(department=[""]))
    assert not accepts(MILA, only(department=[""]))
    assert not accepts(blank, only(department=["Sales"]))


@pytest.mark.parametrize(
    "written", ["müller.example", "mu\u0308ller.example", "XN--MLLER-KVA.example", " Müller.example\u200b"]
)
@pytest.mark.parametrize("email", ["a@müller.example", "a@xn--mller-kva.example", "a@MÜLLER\u200b.example"])
def test_S3_a_domain_is_one_in_either_form(written, email):
    assert accepts(remote("a", email), only(domain=[written]))


def test_S2_a_department_of_letters_nobody_sees_is_blank():
    assert accepts(remote("a", "a@x.example", department="\u200b\u00a0"), only(department=[""]))


@pytest.mark.parametrize(
    "value", ["sales", " SALES", "Sales  ", "\u200bSales", "Sa\u00adles", "\u202dsales\ufeff\u00a0"]
)
def test_S3_text_compares_trimmed_and_case_insensitively(value):
    assert accepts(MILA, only(department=[value]))


def test_S3_spellings_of_one_text_are_one_value():
    """Another case may be another length, and an accent may be a character of its own."""
    street = remote("s", "s@x.example", office_location="Ringstraße", department="Cafe\u0301")
    assert accepts(street, only(office_location=["RINGSTRASSE"], department=["CAFÉ"]))
    assert not accepts(street, only(department=["Cafe"]))


def test_S2_none_accepts_who_is_in_no_group():
    assert prepare(only(group=[""])).judge(MILA, frozenset())["group"].accepted
    assert not prepare(only(group=[""])).judge(MILA, frozenset({"g"}))["group"].accepted


def test_S4_user_type_member_or_guest():
    guest = remote("g", "g@x.example", user_type="Guest")
    assert accepts(guest, only(user_type=["Guest"])) and not accepts(guest, only(user_type=["Member"]))


def test_S5_domain_is_that_of_the_email():
    assert accepts(MILA, only(domain=["X.EXAMPLE"]))
    assert accepts(remote("n"), only(domain=[""]))


def test_S6_group_accepts_members_and_a_deleted_group_nobody():
    assert accepts(MILA, only(group=["g1", "g2"]), {"g2"})
    assert not accepts(MILA, only(group=["g1"]), {"g2"})
    assert not accepts(MILA, only(group=["g1"]), {"g1"}, deleted=["G1"])


def test_S7_a_value_that_is_gone_stays_in_the_filter():
    spec = only(department=["Long gone", "Sales"])
    assert spec_from_json(spec_to_json(spec)) == spec
    assert accepts(MILA, spec)


def test_U3_a_section_with_nothing_checked_accepts_nobody():
    assert not accepts(MILA, FilterSpec(department=SectionFilter(all=False)))


def test_each_section_says_what_it_judged():
    verdicts = prepare(only(department=["IT"])).judge(MILA, NONE)
    assert list(verdicts) == list(SECTIONS)
    assert (verdicts["department"].accepted, verdicts["department"].value) == (False, "Sales ")
    assert verdicts["domain"].value == "x.example"


def test_U5_the_live_line_counts_per_section():
    users = [(MILA, 1), (remote("b", "b@y.example", department="IT"), 1)]
    matching, total, per_section = count_matches(users, {}, only(department=["it"], domain=["x.example"]))
    assert (matching, total) == (0, 2)
    assert (per_section["department"], per_section["domain"], per_section["group"]) == (1, 1, 2)


def test_U5_the_live_line_counts_everybody_of_a_kind():
    users = [(MILA, 40), (remote("b", "b@y.example", department="IT"), 2)]
    matching, total, per_section = count_matches(users, {}, only(department=["it"]))
    assert (matching, total) == (2, 42)
    assert per_section == {"user_type": 42, "domain": 42, "office_location": 42, "department": 2, "group": 42}
