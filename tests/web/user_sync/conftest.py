import pytest

from portal.extensions import db
from tests.web import customers


@pytest.fixture
def customer(app):
    """The id of an Organization. Microsoft has 2 in Fundraising, a guest in Legal, one without a department."""
    with app.app_context():
        microsoft = customers.microsoft_tenant()
        row = customers.organization(microsoft=microsoft)
        ada = customers.directory_user(
            microsoft, "Ada Obi", "ada@harborview.example", department="Fundraising"
        )
        customers.directory_user(microsoft, "Bo Lind", "bo@harborview.example", department="Fundraising")
        customers.directory_user(
            microsoft, "Cy Rao", "cy@partner.example", user_type="Guest", department="Legal"
        )
        customers.directory_user(microsoft, "Di Sato", "di@harborview.example")
        customers.group(microsoft, "Foundation staff", [ada])
        customers.group(microsoft, "Trustees")
        customers.end_user(row, "Ada", "ada@harborview.example")
        db.session.commit()
        return row.id
