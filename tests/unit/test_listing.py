"""One spec gives tables, API lists and CSV the same search, sort, filters and pages."""

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from portal.errors import Invalid
from portal.extensions import tune_engine
from portal.http.listing import ListSpec, contains_text, fetch, parse
from portal.models import Base, StoredSetting

SPEC = ListSpec(
    sorts={"key": [StoredSetting.key]}, default_sort="key", filters={"state": ["on", "off"], "name": None}
)


@pytest.mark.parametrize(
    ("args", "field"),
    [
        ({"per_page": "501"}, "per_page"),
        ({"per_page": "0"}, "per_page"),
        ({"page": "-1"}, "page"),
        ({"page": "two"}, "page"),
        ({"sort": "colour"}, "sort"),
        ({"state": "maybe"}, "state"),
        ({"color": "red"}, "color"),
    ],
)
def test_strict_parsing_names_the_bad_parameter(args, field):
    with pytest.raises(Invalid) as caught:
        parse(args, SPEC, strict=True)
    assert list(caught.value.errors) == [field]
    assert parse(args, SPEC, strict=False).sort == "key"


def test_query_keeps_state_and_goes_back_to_the_first_page():
    listing = parse({"q": "a b", "state": "on", "sort": "-key", "page": "3"}, SPEC, strict=True)
    assert listing.query_string() == "?q=a+b&state=on&sort=-key&page=3"
    assert listing.query_string(state=None) == "?q=a+b&sort=-key"
    assert listing.query_string(page=2) == "?q=a+b&state=on&sort=-key&page=2"


def test_pages_are_counted_and_past_the_end_people_see_the_last_and_programs_nothing(now):
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all(StoredSetting(key=f"k{n:02}", value={}, updated_at=now) for n in range(7))
        session.flush()
        asked = {"per_page": "3", "page": "9", "sort": "-key"}
        found = fetch(
            session,
            select(StoredSetting),
            parse(asked, SPEC, strict=False),
            SPEC,
            tiebreaker=StoredSetting.key,
        )
        exact = fetch(
            session,
            select(StoredSetting),
            parse(asked, SPEC, strict=True),
            SPEC,
            tiebreaker=StoredSetting.key,
        )
    engine.dispose()
    assert (list(exact.items), exact.total, exact.page) == ([], 7, 9)
    assert [row.key for row in found.items] == ["k00"]
    assert (found.total, found.pages, found.page, found.first, found.last) == (7, 3, 3, 7, 7)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_P5_text_is_found_in_capitals_of_any_script_and_signs_stand_for_themselves(prepared, now, database):
    engine = tune_engine(create_engine(prepared(database)))
    with Session(engine) as session:
        session.add_all(
            StoredSetting(key=key, value={}, updated_at=now) for key in ("Ärzte", "ΩMEGA", "5% more", "a_b")
        )
        session.flush()

        def found(text):
            return list(
                session.scalars(select(StoredSetting.key).where(contains_text(text, StoredSetting.key)))
            )

        assert (found("ärz"), found("ÄRZTE"), found("ωmega")) == (["Ärzte"], ["Ärzte"], ["ΩMEGA"])
        assert (found("%"), found("_"), found("/")) == (["5% more"], ["a_b"], [])
    engine.dispose()
