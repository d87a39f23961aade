"""The fields that the set-up pop-up and the templates of filters have in common: who is added, and when a run is held (U9, G1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtforms import BooleanField, IntegerField
from wtforms.validators import NumberRange, Optional

from portal.http.forms import Form

RULES = ("add_disabled_accounts", "only_licensed", "include_agents")


class RulesForm(Form):
    """The add rules and the hold's threshold."""

    add_disabled_accounts = BooleanField("Also add accounts that are disabled in Microsoft")
    only_licensed = BooleanField("Only add users who have a Microsoft license")
    include_agents = BooleanField("Also include AI agents, which Microsoft lists among its users")
    hold_percent = IntegerField(
        "Hold if more than … percent",
        validators=[Optional(), NumberRange(0, 100, "A whole number from 0 to 100.")],
    )
    hold_minimum = IntegerField(
        "and at least … people",
        validators=[Optional(), NumberRange(0, 1_000_000, "A whole number from 0 to 1,000,000.")],
    )

    @staticmethod
    def rules_data(body: Mapping[str, Any]) -> dict[str, Any]:
        """What these fields show for ``body``."""
        return {
            **{name: body[name] for name in RULES},
            "hold_percent": body["hold"]["percent"],
            "hold_minimum": body["hold"]["minimum"],
        }

    def rules(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        """What was entered, in the shape of a body; a threshold left blank stays as ``saved``."""
        hold = saved["hold"]
        return {
            **{name: bool(self[name].data) for name in RULES},
            "hold": {
                "percent": hold["percent"] if self.hold_percent.data is None else self.hold_percent.data,
                "minimum": hold["minimum"] if self.hold_minimum.data is None else self.hold_minimum.data,
            },
        }
