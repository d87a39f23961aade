"""The End Users table (P5): what it filters and sorts by is what the Link says, and its pages are the whole list in order."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session, sessionmaker

from portal.end_users.listing import SPEC, conditions
from portal.extensions import tune_engine
from portal.http import listing
from portal.http.listing import fetch_by_id, parse
from portal.models import EndUser, MicrosoftTenant, Organization, OrganizationTag, Tag, Tenant
from portal.models.customers import refresh_search
from portal.people import listing as all_people
from portal.search import index

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def session(request, prepared):
    engine = tune_engine(sa.create_engine(prepared(request.param)))
    with Session(engine) as session:
        session.add(MicrosoftTenant(id="m", directory_id="d", name="M", connected_at=NOW))
        session.flush()
        session.add(Tenant(id="t", name="T", microsoft_tenant_id="m", created_at=NOW))
        session.flush()
        session.add(Organization(id="o", name="O", name_key="o", tenant_id="t", created_at=NOW))
        session.flush()
        yield session
    engine.dispose()


def add(session, number, *, link=None, **values):
    row = EndUser(
        id=f"{number:04}", organization_id="o", display_name=f"Person {number:04}", email=f"p{number}@x.example",
        source=values.pop("source", "sync"), created_at=NOW + timedelta(hours=number % 7), updated_at=NOW, **values, **(link or {}),
    )  # fmt: skip
    if link is not None:
        row.microsoft_tenant_id, row.object_id, row.linked_at = "m", f"u{number}", NOW
    refresh_search(row)
    session.add(row)
    session.flush()
    return row


@pytest.fixture
def people(session):
    for number in range(60):
        link = None
        if number % 5:
            link = {
                "microsoft_status": "disabled" if number % 4 == 0 else "active",
                "in_scope": number % 3 > 0,
                "is_licensed": number % 2 == 0,
                "license_names": ("Visio", "Project", "")[number % 3],
                "last_sign_in_at": NOW - timedelta(days=number % 9) if number % 7 else None,
                "mfa_registered": (True, False, None)[number % 3],
            }
        add(
            session,
            number,
            link=link,
            job_title=("Nurse", "Clerk")[number % 2],
            phone=f"{number % 10}",
            source=("sync", "manual")[number % 2],
        )
    return session


def page(session, *, strict=True, **asked):
    state = parse({name: str(value) for name, value in asked.items()}, SPEC, strict=strict)
    here = EndUser.organization_id == "o"
    narrowed = conditions(state, is_sqlite=session.get_bind().dialect.name == "sqlite")
    return fetch_by_id(session, here, narrowed, sa.select(EndUser), state, SPEC, tiebreaker=EndUser.id)


@pytest.fixture(params=["walked", "sorted", "found by name on the walk", "walked though few were expected"])
def way(request, monkeypatch):
    """How a page of those that fit is found: each way must find the same."""
    monkeypatch.setattr(listing, "WALKED_TO_SORTED", 0 if request.param == "walked" else 1e9)
    monkeypatch.setattr(listing, "SORTED", 0 if request.param == "walked though few were expected" else 1e9)
    monkeypatch.setattr(listing, "LOOKED_AT", 1000 if request.param == "found by name on the walk" else 0)


@pytest.mark.parametrize("q", ["", "person"])
@pytest.mark.usefixtures("way")
def test_P5_pages_are_the_whole_list_in_order_in_both_directions(people, q):
    for sort in SPEC.sorts:
        rows = {}
        for direction in ("", "-"):
            pages = [
                page(people, q=q, sort=direction + sort, per_page=25, page=number) for number in (1, 2, 3)
            ]
            rows[direction] = [row.id for found in pages for row in found.items]
            assert all((found.total, found.unfiltered_total) == (60, 60) for found in pages)
            assert sorted(rows[direction]) == [f"{number:04}" for number in range(60)], sort
        assert rows["-"] == rows[""][::-1], sort


@pytest.mark.usefixtures("way")
def test_P5_each_filter_takes_exactly_who_fits_alone_and_together(people):
    everybody = people.scalars(sa.select(EndUser).order_by(EndUser.id)).all()
    fits = {
        "microsoft_status": lambda row, value: (
            row.microsoft_status == value or (value == "not_disabled" and row.microsoft_status != "disabled")
        ),
        "licensed": lambda row, value: row.is_licensed == (value == "true"),
        "mfa": lambda row, value: row.mfa_registered is (value == "true"),
        "source": lambda row, value: row.source == value,
        "in_scope": lambda row, value: row.in_scope is (value == "true"),
        "q": lambda row, value: all(word in row.search_text for word in value.split()),
    }
    choices = {**SPEC.filters, "q": ("nurse", "person 001", "p5@x", "%", "_", "/")}
    for one, other in itertools.combinations(choices, 2):
        for first, second in itertools.product(choices[one], choices[other]):
            wanted = [row.id for row in everybody if fits[one](row, first) and fits[other](row, second)]
            found = page(people, **{one: first, other: second}, per_page=100)
            assert ([row.id for row in found.items], found.total, found.unfiltered_total) == (
                wanted,
                len(wanted),
                60,
            ), (one, first, other, second)


def test_P5_a_page_past_the_end_shows_the_last_and_an_empty_list_has_one(people):
    assert page(people, per_page=50, page=99).items == (), "the API's callers walk on until nothing comes"
    last = page(people, strict=False, per_page=50, page=99)
    assert (last.page, last.first, last.last, len(last.items)) == (2, 51, 60, 10)
    none = page(people, q="nobody")
    assert (none.page, none.pages, none.total, list(none.items)) == (1, 1, 0, [])


@pytest.mark.parametrize(
    "limits",
    [{"CAP": 5}, {"FEW": 5, "WALKED_TO_FETCHED": 0}, {"FEW": 5, "WALKED_TO_FETCHED": 1e9}, {"FEW": 29}],
)
@pytest.mark.parametrize("is_indexed", [False, True])
def test_F4_pages_of_all_people_are_who_fits_in_order_however_many_are_counted(
    people, monkeypatch, limits, is_indexed
):
    people.add(Organization(id="other", name="B", name_key="b", tenant_id="t", created_at=NOW))
    people.add(Tag(id="g", name="Gold", created_at=NOW))
    people.flush()
    people.add(OrganizationTag(organization_id="o", tag_id="g"))
    row = add(people, 60, department="Night  Shift")
    row.organization_id, row.department = "other", "night shift"
    people.get_one(EndUser, "0007").department = "Night Shift"
    people.commit()
    if is_indexed:
        index.index_some(sessionmaker(people.get_bind()), 100)
    people.get_one(EndUser, "0011").display_name = "Person 0011 b"
    refresh_search(people.get_one(EndUser, "0011"))  # and is not indexed yet
    people.commit()
    asked = [
        {"q": text, **more}
        for text in ("", "person", "person 001", "nurse")
        for more in (
            {},
            {"tag": "gold"},
            {"mfa": "false"},
            {"mfa": "false", "tag": "gold"},
            {"mfa": "false", "source": "sync"},
        )
    ]
    for query in (*asked, {"department": "NIGHT shift"}, {"q": "person", "department": "night shift"}):
        for sort in ("name", "-name", "email"):
            state = parse({**query, "sort": sort, "per_page": "100"}, all_people.SPEC, strict=True)
            exact = [row.id for row in all_people.listing(people, state).items]
            with monkeypatch.context() as patch:
                for name, number in limits.items():
                    patch.setattr(all_people, name, number)
                shown = all_people.listing(people, replace(state, is_exact=False))
                second = all_people.listing(people, replace(state, is_exact=False, page=2, per_page=3))
                assert all_people.ids(people, state, 100) == exact
            if sort == "email" and shown.has_more:
                continue  # so many are sorted by name alone
            assert sort == "email" or exact == sorted(exact, reverse=sort == "-name")
            assert [row.id for row in shown.items] == exact[: len(shown.items)], (query, sort)
            assert len(shown.items) == len(exact) and shown.has_more == (len(exact) > shown.total)
            assert [row.id for row in second.items] == exact[(second.page - 1) * 3 :][:3]
            assert second.page == 2 or len(exact) <= 3


def test_F4_all_people_are_found_by_sign_in_name_object_id_and_any_spelling_of_a_department(people):
    row = people.get_one(EndUser, "0001")
    row.user_principal_name, row.object_id = "Ann.Other@X.example", "7c1f2a90-1111-4222-8333-944455556666"
    row.department = "Night\u200b  Shift"
    refresh_search(row)
    people.commit()

    def found(**query):
        return [
            row.id for row in all_people.listing(people, parse(query, all_people.SPEC, strict=True)).items
        ]

    for query in (
        {"q": "ann.other@x"},
        {"q": "0001 ann.other"},
        {"q": "7c1f2a90-1111"},
        {"department": "night SHIFT"},
        {"q": "ann.other 7c1f2a90", "department": "night shift"},
    ):
        assert found(**query) == ["0001"], query
    for query in ({"q": "ann_other"}, {"q": "7c1f2a91"}, {"q": "c1f2a90-1111"}, {"department": "night"}):
        assert found(**query) == [], query
