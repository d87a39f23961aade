"""F4: one list over every Organization."""

import csv
import io
import re

import pytest

from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import SavedView
from portal.organizations import tags
from portal.people import listing
from portal.runtime import runtime
from portal.search import index
from tests.web import customers

PREMIUM = "cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46"


@pytest.fixture(params=[False, True], ids=["not indexed yet", "indexed"])
def people(app, request):
    """Two customers, one tagged gold, with four people; before and after their words are in the index."""
    with app.app_context():
        mark_write(db.session())
        microsoft = customers.microsoft_tenant()
        gold = customers.organization("Customer 10", microsoft=microsoft)
        other = customers.organization("Customer 2")
        tags.replace(gold, ["Gold", "pod A"])
        ada = customers.directory_user(microsoft, "Ada Lovelace", "ada@harborview.example")
        bo = customers.directory_user(microsoft, "Bo Diaz", "bo@harborview.example")
        one = customers.end_user(
            gold,
            "Ada Lovelace",
            "ada@harborview.example",
            linked_to=ada,
            phone="+1 555 0101",
            department="Labor & Delivery",
        )
        one.mfa_registered, one.license_sku_ids, one.is_licensed = False, (PREMIUM,), True
        two = customers.end_user(gold, "Bo Diaz", "bo@harborview.example", linked_to=bo)
        two.mfa_registered, two.user_principal_name = True, "bodi@corp.example"
        two.last_sign_in_at = utcnow().replace(year=utcnow().year - 1)
        two.object_id = "7c1f2a90-1111-4222-8333-944455556666"
        three = customers.end_user(other, "Cleo Park", "cleo@other.example")
        four = customers.end_user(other, "Ada Other", "ada@other.example", source="import")
        found = {row.display_name: row.id for row in (one, two, three, four)}
        db.session.commit()
        if request.param:
            assert index.index_some(runtime().sessions, 1) >= 4
    return found


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "Ada Lovelace, Ada Other, Bo Diaz, Cleo Park"),
        ("sort=-name", "Cleo Park, Bo Diaz, Ada Other, Ada Lovelace"),
        ("sort=email", "Ada Lovelace, Ada Other, Bo Diaz, Cleo Park"),
        ("q=ada", "Ada Lovelace, Ada Other"),
        ("q=lovelace ada", "Ada Lovelace"),
        ("q=555 0101", "Ada Lovelace"),
        ("q=CLEO@Other.example", "Cleo Park"),
        ("q=bodi@corp", "Bo Diaz"),
        ("q=7c1f2a90-1111", "Bo Diaz"),
        ("q=zz", ""),
        ("q=nobody%", ""),
        ("mfa=false", "Ada Lovelace"),
        ("mfa=false&tag=gold", "Ada Lovelace"),
        ("tag=GOLD", "Ada Lovelace, Bo Diaz"),
        ("tag=silver", ""),
        ("inactive_days=90", "Bo Diaz"),
        ("inactive_days=-1", "Ada Lovelace, Ada Other, Bo Diaz, Cleo Park"),
        ("microsoft_status=none", "Ada Other, Cleo Park"),
        ("source=import", "Ada Other"),
        (f"sku_id={PREMIUM}", "Ada Lovelace"),
        ("department=labor %26 delivery", "Ada Lovelace"),
        ("department=labor", ""),
    ],
)
def test_F4_everybody_is_found_by_search_and_filters(client_as, people, query, names):
    answer = client_as("read-only").get(f"/people.csv?{query}")
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert ", ".join(row["display_name"] for row in rows) == names
    page = client_as("technician").get(f"/people?{query}").text
    assert [name for name in people if f"<bdi>{name}</bdi></a></th>" in page] == [
        name for name in people if name in names
    ]


@pytest.mark.parametrize(
    "limits",
    [{"FEW": 0, "WALKED_TO_FETCHED": 0}, {"FEW": 0, "WALKED_TO_FETCHED": 10**9}, {"CAP": 0}],
    ids=["fetched", "walked", "walked by everybody"],
)
@pytest.mark.parametrize(
    "query",
    ["q=ada", "q=lovelace ada", "q=ada&tag=gold&sort=-name", "q=0101", "tag=gold", "tag=gold&mfa=false"]
    + ["department=LABOR %26 delivery", "q=7c1f2a90-1111"],
)
def test_F4_more_than_are_counted_are_the_same_in_the_same_order(
    client_as, people, monkeypatch, query, limits
):
    browser = client_as("read-only")
    asked = browser.get(f"/people?{query}").text
    for name, number in limits.items():
        monkeypatch.setattr(listing, name, number)
    found = browser.get(f"/people?{query}").text
    assert names(found) == names(asked) != []


def test_F4_a_search_that_many_fit_says_so_and_sorts_by_what_is_asked_for(
    client_as, people, monkeypatch, request
):
    monkeypatch.setattr(listing, "FEW", 1)
    browser = client_as("read-only")
    page = browser.get("/people?q=ada").text
    assert names(page) == ["Ada Lovelace", "Ada Other"] and "sort=-email" not in page and "sort=email" in page
    assert ("of 1+" if request.node.callspec.params["people"] else "of 2") in page
    page = browser.get("/people?q=ada&sort=-email").text
    assert names(page) == ["Ada Other", "Ada Lovelace"] and "of 2" in page
    assert names(browser.get("/people?q=ada&mfa=false").text) == ["Ada Lovelace"]
    exported = browser.get("/people.csv?q=ada").text
    assert exported.index("Ada Lovelace") < exported.index("Ada Other")


def test_F4_without_mfa_at_customers_tagged_gold_is_three_clicks(client_as, people):
    browser = client_as("read-only")
    assert 'href="/people"' in browser.get("/").text  # the first
    page = browser.get("/people").text
    second = _link(page, "Without MFA")
    third = _link(browser.get(f"/people{second}").text, "Gold")
    page = browser.get(f"/people{third}").text
    assert "Ada Lovelace" in page and "Bo Diaz" not in page and "1–1 of 1" in page


def test_F4_a_changed_name_is_found_and_the_old_one_is_not(app, client_as, people):
    client_as("technician").send(
        f"/end-users/{people['Cleo Park']}", {"display_name": "Dora Kent", "email": "cleo@other.example"}
    )
    browser = client_as("read-only")
    assert "Dora Kent" in browser.get("/people?q=dora").text
    assert "Dora Kent" not in browser.get("/people?q=park").text
    with app.app_context():
        index.index_some(runtime().sessions, 1)
    assert "Dora Kent" in browser.get("/people?q=dora").text


def test_F4_a_worn_index_is_made_anew(app, client_as, people, monkeypatch):
    monkeypatch.setattr(index, "SPARE", 1)
    with app.app_context():
        for _ in range(4):
            mark_write(db.session())
            for name in ("search_row",):
                db.session.execute(db.text(f"UPDATE end_users SET {name} = NULL"))
            db.session.commit()
            index.index_some(runtime().sessions, 1)
        assert index.start_anew_if_worn(runtime().sessions)
        assert not index.start_anew_if_worn(runtime().sessions)
        assert index.index_some(runtime().sessions, 1) >= 4
    assert "Cleo Park" in client_as("read-only").get("/people?q=park").text


def test_F4_views_are_kept_shared_by_address_and_with_everybody(app, client_as, people):
    mine, theirs = client_as("read-only"), client_as("technician")
    query = "?mfa=false&tag=Gold&columns=email,mfa"
    answer = mine.send("/people/views/new", {"query": query, "name": "Gold without MFA"})
    assert answer.status_code == 303
    page = mine.get(answer.location).text
    assert (
        "Gold without MFA" in page
        and "Ada Lovelace" in page
        and "Microsoft License" not in page[page.index("<thead") :]
    )
    with app.app_context():
        view = db.session.scalars(db.select(SavedView)).one().id
    assert "Gold without MFA" not in theirs.get("/people").text
    assert "Ada Lovelace" in theirs.get(f"/people/views/{view}", follow_redirects=True).text
    assert theirs.send(f"/people/views/{view}/delete").status_code == 403
    mine.send("/people/views/new", {"query": query, "name": "gold WITHOUT mfa", "is_shared": "y"})
    page = theirs.get("/people").text
    assert "gold WITHOUT mfa" in page and "by Read-Only" in page
    assert mine.send("/people/views/new", {"query": query, "name": " "}).status_code == 422
    assert mine.send(f"/people/views/{view}/delete").status_code == 303
    assert "gold WITHOUT mfa" not in theirs.get("/people").text


def test_F4_checked_people_are_exported(client_as, people):
    browser = client_as("read-only")
    answer = browser.send(
        "/people.csv", {"id": [people["Cleo Park"], people["Bo Diaz"]], "filtered": "?sort=-name"}
    )
    assert [row["display_name"] for row in csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig")))] == [
        "Cleo Park",
        "Bo Diaz",
    ]
    answer = browser.send("/people.csv", {"all_filtered": "1", "filtered": "?tag=gold"})
    assert [row["tags"] for row in csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig")))] == [
        "Gold, pod A"
    ] * 2
    assert browser.send("/people.csv", {"filtered": ""}).status_code == 422


def names(page):
    """The people that a page shows, in its order."""
    return re.findall(r"<bdi>([^<]*)</bdi></a></th>", page)


def _link(page, label):
    found = re.search(rf'href="([^"]*)"[^>]*>(?:<svg(?:(?!</svg>).)*</svg>)?{label} *<', page)
    return found[1].replace("&amp;", "&")
