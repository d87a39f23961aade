"""Why somebody is here, or not: each section's verdict, the match and the decision (P6, P13). No queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portal.engine.explain import SECTION_LABELS
from portal.models import EndUser, Organization


@dataclass(frozen=True)
class Verdict:
    """What one section of the filters says. value: what Microsoft has, "" for what was not read."""

    section: str
    value: str
    is_accepted: bool


@dataclass(frozen=True)
class WhyView:
    """The answer. back: where “Close” leads; problem: why there is none, "" otherwise; identity: the UPN, and who it is here."""

    title: str
    back: str
    person: EndUser | None
    organization: Organization
    problem: str
    decision: str = ""
    reason: str = ""
    verdicts: Sequence[Verdict] = ()
    identity: str = ""


def why_view(
    organization: Organization,
    person: EndUser | None,
    name: str,
    explanation: Mapping[str, Any] | None,
    *,
    any_group: bool,
    problem: str,
) -> WhyView:
    """The record of the page. explanation: as ``previews.explain``, None with a problem; any_group: then nobody's groups are read."""
    place = "here" if person is not None else "not here"
    back = f"/end-users/{person.id}" if person is not None else f"/organizations/{organization.id}/end-users"
    title = f"Why is {name} {place}?"
    if explanation is None:
        return WhyView(title, back, person, organization, problem)
    return WhyView(
        title,
        back,
        person,
        organization,
        problem,
        decision=explanation["decision"],
        reason=explanation["reason"],
        verdicts=[
            Verdict(
                SECTION_LABELS[section],
                "" if section == "group" and any_group else verdict["value"] or "(none)",
                verdict["accepted"],
            )
            for section, verdict in explanation["sections"].items()
        ],
        identity=f"{explanation['user_principal_name']} · {_who(explanation)}",
    )


MATCHED_BY = {
    "email": "email address",
    "alias": "another of their email addresses",
    "immutable_id": "on-premises ID",
}


def _who(explanation: Mapping[str, Any]) -> str:
    match = explanation["match"]
    if match is None:
        return "no End User matches" if explanation["decision"] == "create" else "not linked to an End User"
    if match["by"] != "link":
        return f"matched by {MATCHED_BY[match['by']]}"
    stays = ", which stays as it is" if explanation["decision"] == "skip" else ""
    return f"linked to an End User{stays}"
