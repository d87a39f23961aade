"""P5: the End Users table and its state in the address."""

import csv
import io

from sqlalchemy import select

from portal.extensions import db
from portal.models import EndUser, Organization
from tests.web import customers


def test_P5_a_filter_in_use_is_a_chip_that_says_field_and_value(client_as, ids):
    page = client_as("read-only").get(f"/organizations/{ids['organization']}/end-users?licensed=false&mfa=true")
    text = page.get_data(as_text=True)
    assert "License: No Microsoft license" in text
    assert "MFA: MFA registered" in text


def test_P5_names_wrap_and_are_not_clipped_and_products_are_short(app, client_as, ids):
    with app.app_context():
        person = db.session.get(EndUser, ids["person"])
        person.link.license_names = "Microsoft 365 Business Premium"
        db.session.commit()
    text = client_as("read-only").get(f"/organizations/{ids['organization']}/end-users").get_data(as_text=True)
    assert ">Business Premium<" in text
    assert 'title="Microsoft 365 Business Premium"' in text
    lead = text[text.index("rc-lead") - 60 : text.index("rc-lead") + 60]
    assert "rc-nowrap" not in lead


def test_P5_the_checked_people_are_exported_in_the_order_of_the_list(app, client_as, ids):
    with app.app_context():
        organization = db.session.get(Organization, ids["organization"])
        for name in ("Bea Quist", "Cleo Park", "Dag Holt"):
            customers.end_user(organization, name, f"{name[:3].strip().lower()}@harborview.example")
        db.session.commit()
        of = {row.display_name: row.id for row in db.session.scalars(select(EndUser))}
    client = client_as("read-only")
    path = f"/organizations/{ids['organization']}/end-users"
    text = client.get(path).get_data(as_text=True)
    bar = text[text.index("rc-bulk") :]
    assert "Select all 4" in bar and "Clear selection" in bar and f'formaction="{path}.csv"' in bar
    assert "Delete…" not in bar  # a technician's
    assert "Delete…" in client_as("technician").get(path).get_data(as_text=True)

    def exported(**fields):
        found = client.send(f"{path}.csv", data=fields)
        assert found.mimetype == "text/csv"
        return [line["display_name"] for line in csv.DictReader(io.StringIO(found.get_data(as_text=True)))]

    some = {"id": [of["Bea Quist"], of["Dag Holt"]]}
    assert exported(filtered="?sort=-name", **some) == ["Dag Holt", "Bea Quist"]
    assert exported(filtered="?q=cleo", all_filtered="1", **some) == ["Cleo Park"]
    assert client.send(f"{path}.csv", data={"filtered": ""}).status_code == 422
