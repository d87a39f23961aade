"""Forms of Organizations."""

from __future__ import annotations

from wtforms import SelectField, StringField
from wtforms.validators import InputRequired, Length

from portal.http.forms import Form


class OrganizationForm(Form):
    """Name, and the Tenant it belongs to: its own, or an existing one."""

    name = StringField("Name", validators=[InputRequired("Enter a name."), Length(max=256)])
    tenant_id = SelectField(
        "Tenant", description="Several Organizations may share one Tenant, and with it one Microsoft tenant."
    )
    tags = StringField(
        "Tags",
        validators=[Length(max=1500)],
        description="Words to find it by, such as “pod A” or “co-managed”. Separate several by commas.",
        render_kw={"list": "known-tags", "autocomplete": "off"},
    )
