"""What the pages about Microsoft Tenants ask for."""

from __future__ import annotations

from wtforms import SelectField, StringField
from wtforms.validators import InputRequired, Length

from portal.graph.clouds import DEFAULT
from portal.http.forms import Form

NEW = "new"
"""Of the choice of a Tenant: one that comes with a new Organization."""


class ConnectForm(Form):
    """Which tenant to connect, in which cloud."""

    directory_id = StringField(
        "Tenant ID or domain",
        validators=[Length(max=253)],
        description="Leave it empty if you do not know it. Microsoft then asks you to sign in.",
    )
    # what is not offered is refused by the service, which says what is missing
    cloud = SelectField("Cloud", default=DEFAULT, validate_choice=False)


class MapForm(Form):
    """The Tenant to map, or the name of the Organization that is made for it."""

    tenant_id = SelectField("Tenant", validators=[InputRequired("Choose a Tenant.")])
    name = StringField("Name of the new Organization", validators=[Length(max=256)])


class RemoveForm(Form):
    """The name typed again, for a tenant that has been mapped."""

    name = StringField("Name of the Microsoft tenant", validators=[InputRequired("Enter the name.")])
