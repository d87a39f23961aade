"""Forms of End Users."""

from __future__ import annotations

from wtforms import StringField, TextAreaField
from wtforms.validators import Length

from portal.http.forms import DayField, Form, text


class EndUserForm(Form):
    """The fields that people may enter."""

    display_name = StringField("Name", validators=[Length(max=1024)])
    first_name = StringField("First name", validators=[Length(max=256)])
    last_name = StringField("Last name", validators=[Length(max=256)])
    email = StringField("Email", validators=[Length(max=320)])
    phone = StringField("Phone", validators=[Length(max=256)])
    mobile_phone = StringField("Mobile Phone", validators=[Length(max=256)])
    job_title = StringField("Job Title", validators=[Length(max=256)])
    department = StringField("Department", validators=[Length(max=256)])
    office_location = StringField("Office Location", validators=[Length(max=256)])
    street_address = StringField("Street Address", validators=[Length(max=1024)])
    city = StringField("City", validators=[Length(max=256)])
    state = StringField("State/Province", validators=[Length(max=256)])
    postal_code = StringField("Zip/Postal Code", validators=[Length(max=64)])
    country = StringField("Country", validators=[Length(max=256)])
    notes = TextAreaField("Notes", validators=[Length(max=20_000)])

    def values(self) -> dict[str, str]:
        """What was entered, by field."""
        return {field.name: text(field) for field in self if field.name != "csrf_token"}


class PinForm(Form):
    """Our value, why it is kept, and until when (P14)."""

    value = StringField("Our value", validators=[Length(max=1024)])
    reason = StringField("Reason", validators=[Length(max=1000)])
    expires_at = DayField("Ends on", description="Leave empty for no end.")
