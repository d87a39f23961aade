"""What the page of conflicts shows (M7): both sides with what it takes to decide, and which one the next run takes. No queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from portal.conflicts.service import Bulk
from portal.conflicts.settlement import CandidateEndUser, Question, Side
from portal.engine.explain import reason_sentence
from portal.engine.plan.preference import Preference, Why
from portal.http.formatting import plural
from portal.http.list_view import BulkAction, Chip, Empty, ListView
from portal.http.listing import Listing
from portal.models import Conflict, EndUser, Role

KINDS: Mapping[str, str] = {
    "duplicate_remote_email": "Two Microsoft users, one address",
    "email_linked_to_other": "End User is linked to another",
    "email_clash": "New address is in use",
}
WHYS: Mapping[Why, str] = {
    Why.LINKED: "because it is linked already",
    Why.HAS_ADDRESS: "because it has the address already",
    Why.ENABLED: "because the other one is disabled",
    Why.OLDER: "because it was created first",
    Why.OBJECT_ID: "because nothing else tells them apart",
}
_RESOLVED = {"ignore": "Ignored until one side changes", "gone": "Resolved by itself"}


@dataclass(frozen=True)
class Press:
    """A button that settles the conflict. effects: what it does beyond the Link, a sentence each."""

    action: str
    label: str
    end_user_id: str = ""
    effects: Sequence[str] = ()


@dataclass(frozen=True)
class SideView:
    """One side. enabled: in words, "" for an End User who is not linked here. is_taken: the next run takes it; why: in words.

    linked: (name, address) of the End User linked to it here, None when nobody is.
    """

    name: str
    address: str
    object_id: str
    link: str
    is_user: bool
    enabled: str
    created_at: datetime | None
    last_sign_in_at: datetime | None
    licenses: str
    linked: tuple[str, str] | None
    is_taken: bool
    why: str
    presses: Sequence[Press] = ()


@dataclass(frozen=True)
class ConflictView:
    """A conflict as the page shows it. outcome: how it was settled, "" while it is open; meant: (name, address) who was chosen.

    can_name: nobody here has the address, so the End User has to be named.
    """

    id: str
    name: str
    email: str
    kind: str
    reason: str
    since: datetime
    run_link: str
    sides: Sequence[SideView]
    is_open: bool
    outcome: str
    meant: tuple[str, str] | None
    resolved_at: datetime | None
    resolved_by: str
    can_reopen: bool
    can_name: bool
    preference: str = ""


@dataclass(frozen=True)
class SettleView:
    """The question before many are settled. act: with their number; names: (name, outcome); left_out: how many are ambiguous."""

    action: str
    act: str
    ids: Sequence[str]
    names: Sequence[tuple[str, str]]
    left_out: int
    is_changed: bool


def settle_view(action: str, outcome: Bulk, *, is_changed: bool) -> SettleView:
    """The record of the question. is_changed: it was answered already, for others than these."""
    verb = "Link" if action == "link" else "Ignore"
    return SettleView(
        action=action,
        act=f"{verb} {plural(len(outcome.rows), 'conflict')}",
        ids=[row.id for row in outcome.rows],
        names=outcome.names,
        left_out=outcome.left_out,
        is_changed=is_changed,
    )


def conflicts_list(
    address: str, listing: Listing, rows: Sequence[ConflictView], kinds: Mapping[str, int]
) -> ListView:
    """An Organization's conflicts. kinds: of the open ones, how many; the number of the settled ones is not said."""
    kind, is_settled = listing.filters.get("kind"), listing.filters.get("state") == "resolved"
    chips = [Chip("Open", address, sum(kinds.values()), not (is_settled or kind))]
    if len(kinds) > 1:
        chips += [
            Chip(KINDS.get(name, name), f"{address}?kind={name}", count, kind == name)
            for name, count in sorted(kinds.items())
        ]
    chips.append(Chip("Settled", f"{address}?state=resolved", None, is_settled))
    title = "No settled conflicts" if is_settled else "No open conflicts"
    text = "Nothing has been settled yet." if is_settled else "Every Microsoft user in scope is matched."
    settle = f"{address}/settle"
    return ListView(
        block="conflicts_table",
        label="Conflicts",
        address=address,
        noun="conflict",
        search="Name or email",
        listing=listing,
        rows=rows,
        columns=(),
        views=chips,
        bulk=()
        if is_settled
        else (
            BulkAction("link", "Link selected…", "link", settle, Role.TECHNICIAN),
            BulkAction("ignore", "Ignore selected…", "ban", settle, Role.TECHNICIAN),
        ),
        empty=Empty(title, "No conflicts match the search." if listing.q else text, icon="circle-check"),
    )


def conflicts(
    rows: Sequence[Conflict],
    questions: Mapping[str, Question],
    chosen: Mapping[str, EndUser],
    preferred: Mapping[str, Preference] | None,
) -> list[ConflictView]:
    """The conflicts of one page. preferred: object id → what the next run does; None when it was not asked."""
    return [_conflict(row, questions[row.id], chosen, preferred or {}) for row in rows]


def _conflict(
    row: Conflict, question: Question, chosen: Mapping[str, EndUser], preferred: Mapping[str, Preference]
) -> ConflictView:
    is_open = row.resolved_at is None
    preference = preferred.get(row.object_id) if is_open else None
    meant = chosen.get(row.resolved_end_user_id or "")
    outcome = _RESOLVED.get(row.resolution or "", "")
    if row.resolution == "link":
        outcome = "Linked to" if meant is not None else "Linked to an End User who was deleted since"
    return ConflictView(
        id=row.id,
        name=row.display_name or row.object_id,
        email=row.email,
        kind=KINDS.get(row.kind, "Conflict"),
        reason=reason_sentence(row.kind) if row.kind in KINDS else row.reason,
        since=row.created_at,
        run_link=f"/sync-runs/{row.run_id}" if row.run_id else "",
        sides=[_side(side, row, question, preference, is_open=is_open) for side in question.sides],
        is_open=is_open,
        outcome=outcome,
        meant=(meant.display_name, f"/end-users/{meant.id}")
        if meant is not None and row.resolution == "link"
        else None,
        resolved_at=row.resolved_at,
        resolved_by=row.resolved_by,
        can_reopen=row.resolution in {"ignore", "link"},
        can_name=is_open and not question.choices,
        preference=_preference_in_words(preference, question),
    )


def _preference_in_words(preference: Preference | None, question: Question) -> str:
    """What the next run does, where it is none of the sides that are shown."""
    if preference is None or any(_is_taken(side, preference) for side in question.sides):
        return ""
    return f"If you do nothing, the next run keeps it as it is, {WHYS[preference.why]}."


def _is_taken(side: Side, preference: Preference) -> bool:
    if preference.object_id is not None:
        return side.object_id == preference.object_id
    return side.end_user is not None and side.end_user.id == preference.end_user_id


def _side(
    side: Side, row: Conflict, question: Question, preference: Preference | None, *, is_open: bool
) -> SideView:
    user, person = side.user, side.end_user
    is_taken = preference is not None and _is_taken(side, preference)
    name = (user.display_name or user.user_principal_name) if user is not None else ""
    if not name:
        name = (
            person.display_name if person is not None and side.object_id is None else "No longer in Microsoft"
        )
    return SideView(
        name=name,
        address=user.user_principal_name if user is not None else person.email if person is not None else "",
        object_id=side.object_id or "",
        link=f"/end-users/{person.id}" if person is not None and side.object_id is None else "",
        is_user=side.object_id is not None,
        enabled=_enabled(side),
        created_at=user.created_at if user is not None else None,
        last_sign_in_at=user.last_sign_in_at if user is not None else None,
        licenses=", ".join(name for _, name in side.licenses),
        linked=(person.display_name, f"/end-users/{person.id}")
        if person is not None and side.object_id
        else None,
        is_taken=is_taken,
        why=WHYS[preference.why] if is_taken and preference is not None else "",
        presses=_presses(side, row, question) if is_open else (),
    )


def _enabled(side: Side) -> str:
    user = side.user
    if user is None:
        return ""
    if user.presence != "present":
        return "Deleted in Microsoft"
    return "No: disabled in Microsoft" if user.account_enabled is False else "Yes"


def _presses(side: Side, row: Conflict, question: Question) -> list[Press]:
    """The conflict's own user can be linked to whoever may be meant; keeping the other side is leaving things as they are."""
    others = [side for side in question.sides if side.object_id != row.object_id or side.object_id is None]
    presses = []
    if side.object_id == row.object_id and side.object_id is not None:
        presses = [_press(choice, is_only=len(question.choices) == 1) for choice in question.choices]
        if not others:
            presses.append(Press("ignore", "Ignore it"))
    elif side is others[-1]:
        presses = [Press("ignore", "Keep this one" if len(others) == 1 else "Keep it as it is")]
    return presses


def _press(choice: CandidateEndUser, *, is_only: bool) -> Press:
    person = choice.end_user
    effects = [f"{person.display_name} ({person.email or 'no email address'}) is linked to it."]
    if choice.is_own:
        effects = ["It keeps the address it has here."]
    if choice.other:
        effects.append(f"{person.display_name} leaves {choice.other}.")
    if choice.holder is not None:
        effects.append(f"{choice.holder.display_name} is unlinked.")
    return Press("link", "Use this one" if is_only else f"Link to {person.display_name}", person.id, effects)
