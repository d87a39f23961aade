"""U: the set-up pop-up."""

import pytest

from portal.extensions import db
from portal.models import Role, SyncRun, UserSync
from tests.web import customers


@pytest.fixture
def customer(app):
    """Ids of an Organization and people: 2 in Fundraising, 1 Guest, 1 without a department."""
    with app.app_context():
        microsoft = customers.microsoft_tenant()
        row = customers.organization(microsoft=microsoft)
        ada = customers.directory_user(microsoft, "Ada Obi", "ada@harborview.example", department="Fundraising")
        customers.directory_user(microsoft, "Bo Lind", "bo@harborview.example", department="Fundraising")
        customers.directory_user(microsoft, "Cy Rao", "cy@partner.example", user_type="Guest", department="Legal")
        customers.directory_user(microsoft, "Di Sato", "di@harborview.example")
        customers.group(microsoft, "Foundation staff", [ada])
        customers.group(microsoft, "Trustees")
        customers.end_user(row, "Ada", "ada@harborview.example")
        db.session.commit()
        return row.id


def everything(**changes):
    form = {f"{name}_all": "1" for name in ("user_type", "domain", "office_location", "department", "group")}
    form.update(changes)
    return {key: value for key, value in form.items() if value is not None}


def url(customer, tail=""):
    return f"/organizations/{customer}/user-sync{tail}"


def test_U1_the_pop_up_is_a_page_naming_both_sides(client_as, customer):
    page = client_as().get(url(customer))
    assert page.status_code == 200
    text = page.get_data(as_text=True)
    assert "Set Up Microsoft User Sync" in text and "Harborview Foundation" in text and "Harborview Health" in text
    assert ">4</span> <span class=\"text-secondary\">of 4" in text
