"""User Sync: its settings, options, preview and explanation (U)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from portal.api.documents.base import (
    OBJECT_ID_EXAMPLE,
    TIME_EXAMPLE,
    UUID_EXAMPLE,
    Document,
    FieldChange,
    Time,
    described,
)
from portal.api.documents.sync_runs import Counts, Decided, SyncRun
from portal.api.schema import Request, Whole


class Section(Request):
    """One section of the filters."""

    all: bool = described("Whether it accepts everyone; ``values`` are then kept and ignored.", False)
    values: list[str] = described(
        'The values it accepts; "" stands for nothing entered.', ["Ward 3"], default=[]
    )


class Filters(Request):
    """All five sections. A person has to fit each."""

    user_type: Section
    domain: Section
    office_location: Section
    department: Section
    group: Section


class Hold(Request):
    """When a run waits for an administrator (G1): both have to be exceeded."""

    percent: Whole = described("More than this share of the linked people.", 25, default=25)
    minimum: Whole = described("At least this many people.", 10, default=10)


class UserSync(Document):
    """The User Sync of an Organization. One that was never set up shows the defaults."""

    status: Literal["not_set_up", "processing", "enabled", "paused", "needs_attention"] = described(
        "paused: a hold waits; processing: the first sync has not finished.", "enabled"
    )
    filters: Filters
    add_disabled_accounts: bool = described("Whether disabled accounts are added.", False)
    only_licensed: bool = described("Whether only licensed people are added.", True)
    include_agents: bool = described("Whether AI agents are synced like people.", False)
    hold: Hold
    attention: str | None = described("Why it needs attention, and what to do.", None)
    last_run: SyncRun | None = Field(description="The newest run, queued ones included.")
    next_run_at: Time | None = described("When it runs next by itself; null for never.", TIME_EXAMPLE)


class Option(Document):
    """A value that a section offers."""

    value: str = described('The value to use in filters; "" stands for nothing entered.', "Ward 3")
    label: str = described("How it is shown.", "Ward 3")
    count: int | None = described("How many people have it; null for a group that was not counted.", 17)
    present: bool = described("False for a chosen value that Microsoft no longer has.", True)


class GroupOption(Option):
    """A group that the Group section offers; ``value`` is its object id."""

    kind: str = described("What kind of group it is; blank when that is not known.", "Security")
    mail: str = described("Its email address; blank for none.", "ward3@fabrikam.example")


class Options(Document):
    """What each section offers, most people first."""

    user_type: list[Option] = described("The user types.", [])
    domain: list[Option] = described("The domains.", [])
    office_location: list[Option] = described("The office locations.", [])
    department: list[Option] = described("The departments.", [])
    group: list[GroupOption] = described("The groups, by object id.", [])


class Decision(Document):
    """What a run would do with one Microsoft user."""

    decision: Decided = described("What would be done.", "create")
    reason: str = described(
        "Why, in words.", "New: matches all five sections, and nobody here has this email."
    )
    reason_code: str = described("Why, as a stable code.", "new_in_scope")
    object_id: str = described("The Microsoft user.", OBJECT_ID_EXAMPLE)
    user_principal_name: str = described("The UPN.", "finn.greco@fabrikam.example")
    display_name: str = described("The name.", "Finn Greco")
    email: str = described("The email address; blank for none.", "finn.greco@fabrikam.example")
    end_user_id: str | None = described("The End User it is about.", None)
    fields: list[FieldChange] = described("What would change.", [])


class DomainOverlap(Document):
    """Whether this is the right Microsoft tenant for the Organization."""

    known: int = described("How many email addresses the Organization has.", 12)
    matching: int = described("How many of them have one of the tenant's domains.", 9)


class NamedPerson(Document):
    """A Microsoft user, by name."""

    object_id: str = described("Microsoft's id.", OBJECT_ID_EXAMPLE)
    display_name: str = described("The name.", "Finn Greco")
    email: str = described("The email address; blank for none.", "finn.greco@fabrikam.example")
    user_principal_name: str = described("The UPN.", "finn.greco@fabrikam.example")


class ScopeChange(Document):
    """Who would enter and leave with other filters."""

    enters: list[NamedPerson] = described("Those who would be synced and are not now.", [])
    leaves: list[NamedPerson] = described("Those who would no longer be synced.", [])
    stays: int = described("How many are synced before and after.", 170)
    conflicts: int = described("How many are in conflict, which someone must settle.", 1)
    ignored: int = described("How many are in a conflict that is ignored.", 0)
    skipped: int = described("How many are left out for another reason.", 4)


class HeldInPreview(Document):
    """What the run would hold back for an administrator."""

    kind: Literal["disable", "create"] = described("What would be done.", "disable")
    count: int = described("How many people would wait.", 40)


class Preview(Document):
    """What a run would do with these filters. Nothing was written."""

    plan_id: str = described(
        "Identifies this plan. Send it as ``plan_id`` to run exactly this plan.", UUID_EXAMPLE
    )
    counts: Counts
    total: int = described("How many decisions there are on all pages; those to leave aside.", 3)
    page: int = described("The number of this page.", 1)
    per_page: int = described("How many decisions a page holds at most.", 200)
    decisions: list[Decision] = Field(description="This page's decisions, conflicts first.")
    domain_overlap: DomainOverlap
    scope_change: ScopeChange | None = Field(description="Against the saved filters; null when not enabled.")
    held: HeldInPreview | None = Field(description="What would wait; null for nothing.")
    warnings: list[str] = described("Warnings, in words.", [])


class Verdict(Document):
    """What one section says of a person."""

    accepted: bool = described("Whether it accepts them.", True)
    value: str = described("The value it compared.", "Ward 3")


class Verdicts(Document):
    """What each section says of a person."""

    user_type: Verdict
    domain: Verdict
    office_location: Verdict
    department: Verdict
    group: Verdict


class Match(Document):
    """The End User who belongs to a Microsoft user."""

    end_user_id: str = described("The End User.", UUID_EXAMPLE)
    by: Literal["link", "email", "alias", "immutable_id"] = described("How they were found.", "email")


class Explanation(Document):
    """Why somebody is or is not synced."""

    object_id: str = described("Microsoft's id.", OBJECT_ID_EXAMPLE)
    user_principal_name: str = described("The UPN.", "finn.greco@fabrikam.example")
    display_name: str = described("The name.", "Finn Greco")
    email: str = described("The email address; blank for none.", "finn.greco@fabrikam.example")
    presence: Literal["present", "soft_deleted", "gone"] = described("Whether Microsoft has them.", "present")
    sections: Verdicts
    in_scope: bool = described("Whether all sections accept them.", True)
    match: Match | None = Field(description="The End User who matches; null for none.")
    decision: Decided = described("What the next run would do.", "leave")
    reason: str = described("Why, in words.", "Already up to date.")
    fields: list[FieldChange] = described("What would change.", [])
