"""The set-up pop-up as a form (U2, U9, U10, G1). What the words mean is ``documents.parse``'s business."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtforms import BooleanField, SelectMultipleField, StringField

from portal.engine.records import SECTIONS
from portal.http.formatting import plural
from portal.user_sync.rules_form import RulesForm

ALL_AND_VALUES = "All and {} checked. Uncheck All to accept only what is checked, or uncheck the rest."


def _values() -> SelectMultipleField:
    # Choices are Microsoft's and may be thousands; the service judges what is not among them (S7).
    return SelectMultipleField(choices=[], validate_choice=False)


class SetupForm(RulesForm):
    """Five sections with an All box, values and a search each; add rules; the hold's threshold; U10's one more click."""

    sections = SECTIONS
    tenant_confirmed = BooleanField()
    plan_id = StringField()
    opened_on = StringField()  # what it showed when it was opened: service.edit_version

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> SetupForm:
        """The form showing ``body`` (the shape of PUT's), whatever the request brought."""
        data = cls.rules_data(body)
        for section in SECTIONS:
            data[f"{section}_all"] = body["filters"][section]["all"]
            # the API may keep values behind All; shown as checked they would say that All is not meant
            data[section] = [] if data[f"{section}_all"] else list(body["filters"][section]["values"])
        return cls(formdata=None, data=data)

    def body(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        """What was entered, in the shape of PUT's body; a threshold left blank stays as ``saved``."""
        return {
            "filters": {
                section: {"all": bool(self[f"{section}_all"].data), "values": list(self[section].data or ())}
                for section in SECTIONS
            },
            **self.rules(saved),
        }

    def contradictions(self) -> dict[str, list[str]]:
        """Section → what to do where All and values are both checked, as happens without script: which is meant?"""
        return {
            section: [ALL_AND_VALUES.format(plural(len(self[section].data), "value is", "values are"))]
            for section in SECTIONS
            if self[f"{section}_all"].data and self[section].data
        }

    def query(self, section: str) -> str:
        """What is searched for in a section, trimmed."""
        return str(self[f"{section}_q"].data or "").strip()[:200]


for _section in SECTIONS:
    setattr(SetupForm, f"{_section}_all", BooleanField())
    setattr(SetupForm, _section, _values())
    setattr(SetupForm, f"{_section}_q", StringField())
