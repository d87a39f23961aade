"""Filter templates, and the outcome for the Organizations that get one (F2, F3)."""

from __future__ import annotations

from typing import Any

from portal.api.documents.base import TIME_EXAMPLE, UUID_EXAMPLE, Document, Time, described
from portal.api.documents.user_sync import Hold, Section


class PatternSection(Document):
    """Groups by name: ``*`` stands for anything. With ``all`` the patterns are kept and ignored."""

    all: bool = described("Everyone, whatever their groups.", True)
    name_patterns: list[str] = described("Names of groups, with * for anything.", ["Staff *"])


class TemplateFilters(Document):
    """All five sections; groups have other ids in every Microsoft tenant, so they are named by patterns."""

    user_type: Section
    domain: Section
    office_location: Section
    department: Section
    group: PatternSection


class FilterTemplate(Document):
    """A named set of filters, add rules and hold."""

    id: str = described("Its id.", UUID_EXAMPLE)
    name: str = described("The name.", "Members with a license")
    filters: TemplateFilters
    add_disabled_accounts: bool = described("Whether disabled accounts are added too.", False)
    only_licensed: bool = described("Whether only people with a license are added.", True)
    include_agents: bool = described("Whether AI agents are synced like people.", False)
    hold: Hold
    organizations: int = described("How many Organizations follow it.", 3)
    created_at: Time = described("When it was created.", TIME_EXAMPLE)
    updated_at: Time = described("When it was last changed.", TIME_EXAMPLE)
    updated_by: str = described("Who last changed it.", "Ada Lovelace")


class SetUpResult(Document):
    """What becomes, or would become, of one Organization."""

    organization_id: str = described("The Organization.", UUID_EXAMPLE)
    name: str = described("Its name.", "Fabrikam Joinery")
    outcome: str = described("enable, edit, enabled, edited, unchanged, waiting or refused.", "enabled")
    counts: dict[str, int] = described(
        "The counts of a run; present when a preview was made.", {"created": 12}
    )
    scope_change: dict[str, Any] | None = described("Who enters, stays and leaves, for an edit.", None)
    problem: str | None = described("Why it was refused, and what to do.", None)


class FilterTemplateChanged(FilterTemplate):
    """The template, and the outcome for the Organizations that follow it."""

    results: list[SetUpResult] = described("One for each Organization that follows it.", [])


class SetUpResults(Document):
    """The outcome for each Organization."""

    items: list[SetUpResult] = described("One for each Organization, in the order asked for.", [])
