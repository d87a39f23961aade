"""What is chosen for many Organizations: a template, or filters for just these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtforms import StringField

from portal.filter_templates.fields import FiltersForm


class SetUpForm(FiltersForm):
    """template_id: "" for the filters of the form itself."""

    template_id = StringField()

    @classmethod
    def opened(cls, template_id: str | None, body: Mapping[str, Any]) -> SetUpForm:
        """The form as it is first shown, whatever the request brought."""
        return cls(formdata=None, data={"template_id": template_id or "", **cls.data_of(body)})
