"""The search in the top bar: everything as one types, and the same on a page."""

import pytest

from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import Asset, AssetMac
from portal.runtime import runtime
from portal.search import index
from tests.web import customers


@pytest.fixture(params=[False, True], ids=["not indexed yet", "indexed"])
def found(app, request):
    """A customer with an End User, an Asset, and somebody who is in Microsoft only."""
    with app.app_context():
        mark_write(db.session())
        microsoft = customers.microsoft_tenant("Northwind Clinic")
        row = customers.organization("Northwind Clinic", microsoft=microsoft)
        ada = customers.directory_user(microsoft, "Ada North", "ada@northwind.example")
        customers.directory_user(microsoft, "Finn Northgate", "finn@northwind.example")
        person = customers.end_user(row, "Ada North", "ada@northwind.example", linked_to=ada)
        asset = Asset(
            organization_id=row.id,
            name="NORTH-LT-1",
            created_at=utcnow(),
            updated_at=utcnow(),
            macs=[AssetMac(mac="3C52829A017F")],
        )
        db.session.add(asset)
        ids = {"organization": row.id, "person": person.id, "microsoft": microsoft.id}
        db.session.commit()
        if request.param:
            index.index_some(runtime().sessions, 1)
    return ids


def test_F4_search_finds_every_kind_with_its_state(client_as, found):
    browser = client_as("read-only")
    typed = browser.htmx("/search?q=north", "jump-results").text
    page = browser.get("/search?q=north").text
    for text in (typed, page):
        assert f'/organizations/{found["organization"]}"' in text and "Not set up" in text
        assert f'/end-users/{found["person"]}"' in text and "Active" in text
        assert "NORTH-LT-1" in text and "Unassigned" in text
        assert f'/microsoft-tenants/{found["microsoft"]}"' in text and "Connected" in text
    assert "<html" not in typed and typed.count('role="option"') == 6


def test_F4_who_is_in_microsoft_only_leads_to_the_reason(client_as, found):
    browser = client_as("read-only")
    text = browser.htmx("/search?q=finn", "jump-results").text
    assert "In Microsoft, but no End User" in text and "Why not here?" in text
    assert f"/organizations/{found['organization']}/end-users/why?user=finn-northgate" in text
    assert "Ada North" not in text
    assert "no End User" not in browser.get("/search?q=ada").text, "she is one"


@pytest.mark.parametrize("query", ["3C:52:82", "3c-52-82-9a", "north-lt"])
def test_F4_assets_are_found_by_name_and_mac(client_as, found, query):
    assert "NORTH-LT-1" in client_as("read-only").get(f"/search?q={query}").text


@pytest.mark.parametrize("query", ["", "%20", "zzzz", "%25", "_", '"', "a OR b*"])
def test_F4_any_text_is_only_searched_for(client_as, found, query):
    browser = client_as("read-only")
    assert browser.get(f"/search?q={query}").status_code == 200
    assert browser.htmx(f"/search?q={query}", "jump-results").status_code == 200
