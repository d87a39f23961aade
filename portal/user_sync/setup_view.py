"""What the set-up pop-up shows around its sections and its summary (P7, U9, U10): one record. No queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portal.http.formatting import plural
from portal.models import MicrosoftTenant, Organization
from portal.user_sync.forms import SetupForm
from portal.user_sync.views import Guard, Section, Summary

NEEDED = {"hold": "Safety: ", "tenant": "", "plan_id": "", "moved": ""}
"""What is wrong besides the sections, with what its sentences begin with."""
PLACES = {"hold": "#hold-section", "tenant": "#right-tenant"}


@dataclass(frozen=True)
class SetupView:
    """The pop-up. domain: the main one of the Microsoft tenant, "" for none; people: how many End Users there are already.

    problems: (words, where it is entered, "" for nowhere); hold_problem, tenant_problem: those of Safety and of U10's box.
    percent, minimum: the threshold as it was entered.
    """

    organization: Organization
    microsoft_tenant: MicrosoftTenant
    domain: str
    people: int
    is_edit: bool
    opened_on: str
    sections: Sequence[Section]
    summary: Summary
    guard: Guard | None
    problems: Sequence[tuple[str, str]]
    needed: str
    hold_problem: str
    tenant_problem: bool
    percent: str
    minimum: str
    add_disabled_accounts: bool
    only_licensed: bool
    include_agents: bool
    is_confirmed: bool

    @property
    def title(self) -> str:
        """Of the page and the dialog."""
        return "Edit User Sync Filters" if self.is_edit else "Set Up Microsoft Entra ID User Sync"

    @property
    def button(self) -> str:
        """What the button of the form says."""
        return "Save" if self.is_edit else "Enable Sync"

    @property
    def deed(self) -> str:
        """What an administrator is asked to do."""
        return "change the filters" if self.is_edit else "enable the sync"

    @property
    def has_add_rules(self) -> bool:
        """One of them is chosen, so they are unfolded."""
        return self.add_disabled_accounts or self.only_licensed or self.include_agents


def setup_view(
    organization: Organization,
    microsoft_tenant: MicrosoftTenant,
    form: SetupForm,
    *,
    people: int,
    is_edit: bool,
    opened_on: str,
    sections: Sequence[Section],
    summary: Summary,
    guard: Guard | None,
    problems: Mapping[str, Sequence[str]],
) -> SetupView:
    """The record of the pop-up. problems: sentences by section, or by what else they are about."""
    return SetupView(
        organization=organization,
        microsoft_tenant=microsoft_tenant,
        domain=_domain(microsoft_tenant),
        people=people,
        is_edit=is_edit,
        opened_on=opened_on,
        sections=sections,
        summary=summary,
        guard=guard,
        problems=[
            *(
                (f"{section.label}: {' '.join(section.problems)}", f"#{section.name}-section")
                for section in sections
                if section.problems
            ),
            *(
                (f"{begins}{sentence}", PLACES.get(name, ""))
                for name, begins in NEEDED.items()
                for sentence in problems.get(name, ())
            ),
        ],
        needed=plural(len(problems), "thing is", "things are") if problems else "",
        hold_problem=" ".join(problems.get("hold", ())),
        tenant_problem=bool(problems.get("tenant")),
        percent=_entered(form.hold_percent.raw_data, form.hold_percent.data),
        minimum=_entered(form.hold_minimum.raw_data, form.hold_minimum.data),
        add_disabled_accounts=bool(form.add_disabled_accounts.data),
        only_licensed=bool(form.only_licensed.data),
        include_agents=bool(form.include_agents.data),
        is_confirmed=bool(form.tenant_confirmed.data),
    )


def _domain(row: MicrosoftTenant) -> str:
    main = [domain for domain in row.domains if domain.get("is_default")] or row.domains
    return str(main[0]["name"]) if main else ""


def _entered(raw: Sequence[object] | None, value: int | None) -> str:
    """What was typed, also when it is no number."""
    return str(raw[0]) if raw else str(value)
