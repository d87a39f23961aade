"""The fields of a template's filters: values one a line, since no single tenant's values can be offered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wtforms import BooleanField, SelectMultipleField, TextAreaField
from wtforms.validators import Length

from portal.engine.explain import SECTION_LABELS
from portal.engine.records import NONE_VALUE
from portal.errors import Invalid
from portal.http.forms import choices, text
from portal.user_sync.rules_form import RulesForm

NONE_LABEL = "(none)"
TEXTS = ("domain", "office_location", "department")
USER_TYPES = ("Member", "Guest")
BOTH = "All and {} are both chosen. Uncheck All to accept only these, or remove them."


class FiltersForm(RulesForm):
    """The five sections, add rules and the hold's threshold of a template."""

    sections = SECTION_LABELS
    user_type_all = BooleanField("All", default=True)
    user_type = SelectMultipleField(
        "User types",
        choices=choices((user_type, user_type) for user_type in USER_TYPES),
        validate_choice=False,
    )
    domain_all = BooleanField("All", default=True)
    domain = TextAreaField("Domains, one per line", validators=[Length(max=100_000)])
    office_location_all = BooleanField("All", default=True)
    office_location = TextAreaField("Offices, one per line", validators=[Length(max=100_000)])
    department_all = BooleanField("All", default=True)
    department = TextAreaField("Departments, one per line", validators=[Length(max=100_000)])
    group_all = BooleanField("All", default=True)
    group = TextAreaField("Names of groups, one per line", validators=[Length(max=30_000)])

    @classmethod
    def data_of(cls, body: Mapping[str, Any]) -> dict[str, Any]:
        """What the fields show for a template's body."""
        filters = body["filters"]
        data: dict[str, Any] = {
            **cls.rules_data(body),
            **{f"{name}_all": filters[name]["all"] for name in filters},
        }
        data["user_type"] = [] if filters["user_type"]["all"] else list(filters["user_type"]["values"])
        for name in TEXTS:
            values = [] if filters[name]["all"] else filters[name]["values"]
            data[name] = "\n".join(value or NONE_LABEL for value in values)
        data["group"] = "" if filters["group"]["all"] else "\n".join(filters["group"]["name_patterns"])
        return data

    def body(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        """What was entered, in the shape of a template; a threshold left blank stays as ``saved``."""
        filters: dict[str, Any] = {
            "user_type": {"all": bool(self.user_type_all.data), "values": list(self.user_type.data or ())}
        }
        for name in TEXTS:
            values = [NONE_VALUE if line == NONE_LABEL else line for line in _lines(self[name])]
            filters[name] = {"all": bool(self[f"{name}_all"].data), "values": values}
        filters["group"] = {"all": bool(self.group_all.data), "name_patterns": _lines(self.group)}
        return {
            "filters": filters,
            **self.rules(saved),
        }

    def contradicts(self) -> bool:
        """Says so at the section where All and values are both chosen: which is meant?"""
        is_contradictory = False
        for name in ("user_type", *TEXTS, "group"):
            entered = self.user_type.data if name == "user_type" else _lines(self[name])
            if self[f"{name}_all"].data and entered:
                amount = "1 value" if len(entered) == 1 else f"{len(entered):,} values"
                self[name].errors = [*self[name].errors, BOTH.format(amount)]
                is_contradictory = True
        return is_contradictory

    def show(self, error: Invalid) -> None:
        """Put the service's sentences at the sections that they are about."""
        names = {"hold.percent": "hold_percent", "hold.minimum": "hold_minimum"}
        super().show(
            Invalid(
                {names.get(key, key.removeprefix("filters.")): texts for key, texts in error.errors.items()},
                error.advice,
            )
        )


def _lines(field: Any) -> Sequence[str]:
    """What was entered, line by line, blank ones left out."""
    return [line.strip() for line in text(field).splitlines() if line.strip()]
