"""A filter template as a form."""

from __future__ import annotations

from wtforms import StringField
from wtforms.validators import DataRequired, Length

from portal.filter_templates.fields import FiltersForm


class TemplateForm(FiltersForm):
    """A filter template: its name and what it says."""

    name = StringField(
        "Name",
        validators=[DataRequired("Enter a name."), Length(max=256)],
        description="For example, “Members with a license”.",
    )
