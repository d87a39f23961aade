"""What applying a declaration does (F5)."""

from __future__ import annotations

from portal.api.documents.base import Document, described


class PlanStep(Document):
    """One step of a plan, and its outcome."""

    sign: str = described("+ for new, ~ for changed.", "+")
    action: str = described("What kind of step it is.", "create_organization")
    path: str = described("Its place in the declaration.", "organizations[0]")
    name: str = described("What it is about.", "Fabrikam Joinery")
    words: str = described("The step in words.", "Organization “Fabrikam Joinery”")
    outcome: str = described("done, waiting or refused; absent in a dry run.", "done", default=None)
    problem: str | None = described("Why it was refused; absent in a dry run.", None, default=None)


class Applied(Document):
    """The plan, or what was done of it."""

    plan_id: str = described(
        "Identifies this plan. Send it back to apply exactly this plan.", "0f3c8e6c0a1b4f63a3c1d1f0c2b7a9d4"
    )
    changes: list[PlanStep] = described("Every step, in order; empty when there is nothing to do.", [])
    notes: list[str] = described("Further notes.", [])
