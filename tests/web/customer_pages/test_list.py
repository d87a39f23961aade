"""P5: the End Users table and its state in the address."""

from portal.extensions import db
from portal.models import EndUser


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
