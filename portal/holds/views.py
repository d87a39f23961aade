"""What the card of a hold and its question show (G1): frozen records; the sentences are made here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from portal.end_users.documents import product_names
from portal.engine.explain import CHANGE_LABELS, reason_sentence
from portal.extensions import db
from portal.holds import service
from portal.holds.service import Chosen, HoldFacts, Selection
from portal.http import access
from portal.http.decision_words import decision_words
from portal.http.formatting import number, percent, plural
from portal.models import Change, DirectoryUser, Role, SyncRun
from portal.runs import service as runs
from portal.runs.views import shown_value

_APPLIED = (
    ("created", "created"),
    ("linked", "linked"),
    ("updated", "updated"),
    ("disabled", "marked disabled"),
    ("enabled", "marked enabled"),
    ("unchanged", "unchanged"),
)


@dataclass(frozen=True)
class HeldRow:
    """One person who waits. changes: (field, old, new) that the row shows; ``folded``: those it folds away."""

    object_id: str
    name: str
    link: str
    email: str
    icon: str
    label: str
    changes: Sequence[tuple[str, str, str]]
    fold: str
    folded: Sequence[tuple[str, str, str]]
    reason: str
    is_checked: bool


@dataclass(frozen=True)
class Waiting:
    """A hold that waits, in sentences. decided: what was decided of it so far. decides: whether the reader may."""

    title: str
    detail: str
    decided: str
    applied: str
    if_apply: str
    if_dismiss: str
    decides: bool


@dataclass(frozen=True)
class NameList:
    """Names of people. title: shown where there are several lists; more: how many are not named."""

    label: str
    title: str
    names: Sequence[str]
    more: int


@dataclass(frozen=True)
class Question:
    """The question before a decision. values: what the form carries."""

    act: str
    sentences: Sequence[str]
    lists: Sequence[NameList]
    values: Mapping[str, object]


@dataclass(frozen=True)
class Ended:
    """A hold that is over: ``detail``, who decided, ``verb``, when, and ``rest``."""

    title: str
    detail: str
    is_applied: bool
    verb: str = ""
    rest: str = ""


@dataclass(frozen=True)
class HoldCard:
    """The card of a hold: one that waits, with its people, or one that is over."""

    hold: HoldFacts
    waiting: Waiting | None = None
    held: service.HeldPeople | None = None
    rows: Sequence[HeldRow] = ()
    ended: Ended | None = None


def card(run: SyncRun, people: service.HeldPeople | None = None) -> HoldCard | None:
    """What the card of a hold shows; None when nobody was held back."""
    facts = service.facts(run)
    if facts is None:
        return None
    if facts.state != "waiting":
        return HoldCard(facts, ended=_ended(facts))
    people = people or service.people(run)
    sentence = waiting(facts, run.counts or {}, decides=access.may(Role.ADMINISTRATOR))
    return HoldCard(facts, sentence, people, _rows(run, people))


def waiting(hold: HoldFacts, counts: Mapping[str, int], *, decides: bool) -> Waiting:
    """A hold that waits, in sentences."""
    marks, creations = hold.marks, hold.creations
    done = ", ".join(f"{number(counts[name])} {word}" for name, word in _APPLIED if counts.get(name))
    stay = " These stay, whatever you choose." if done else ""
    dismissed = f", {number(hold.dismissed)} dismissed" if hold.dismissed else ""
    keep = f"The {number(marks)} keep their present status and details" if marks else "Nobody"
    added = (" and nobody is added" if marks else " is added") if creations else ""
    return Waiting(
        title=f"{_title(hold)} Waiting for {'your' if decides else 'an administrator’s'} decision.",
        detail="" if hold.settled else _detail(hold),
        decided=decided_so_far(hold) if hold.settled else "",
        applied=f"{done.capitalize() or 'Nothing'}.{stay} Not applied: {number(hold.waiting)} held{dismissed}.",
        if_apply=f"{_marked(marks)}{_created(creations)}People who have changed since are left out. "
        "The sync returns to Enabled once nobody waits.",
        if_dismiss=f"{keep}{added}. The same people are not held again until they change in Microsoft. "
        "The sync returns to Enabled once nobody waits.",
        decides=decides,
    )


def _title(hold: HoldFacts) -> str:
    if hold.settled:
        word = "waits" if hold.waiting == 1 else "wait"
        return f"{number(hold.waiting)} of {plural(hold.count, 'person', 'people')} held back still {word}."
    if hold.marks:
        also = f", and {plural(hold.creations, 'new End User')} added" if hold.creations else ""
        return f"{number(hold.marks)} of {number(hold.linked)} linked people would be marked Disabled in Microsoft{also}."
    return f"{plural(hold.creations, 'new End User')} would be added, beside {number(hold.linked)} linked people."


def _detail(hold: HoldFacts) -> str:
    share = ""
    if hold.linked:
        also = f" and {percent(hold.creations, hold.linked, 1)}" if hold.marks and hold.creations else ""
        first = percent(hold.marks or hold.creations, hold.linked, 1)
        share = f"That is {first}{also}, more than the {hold.percent}% this Organization allows at once. "
    what = "really left" if hold.marks else "really belong here"
    if hold.marks and hold.creations:
        what = "really left, or really belong here"
    return f"{share}Before you apply, check whether the people below {what}."


def _marked(marks: int) -> str:
    if not marks:
        return ""
    verb = "gets" if marks == 1 else "get"
    return f"{plural(marks, 'End User')} {verb} the mark Disabled in Microsoft, and the changes that wait with it. None is deleted. "


def _created(creations: int) -> str:
    return (
        f"{plural(creations, 'End User')} {'is' if creations == 1 else 'are'} created. " if creations else ""
    )


def decided_so_far(hold: HoldFacts) -> str:
    """What was decided of a hold, without who did it."""
    dismissed = f", dismissed for {number(hold.dismissed)}" if hold.dismissed else ""
    left_out = f" {_left_out(hold)}" if hold.left_out else ""
    return f"Applied to {plural(hold.applied, 'person', 'people')}{dismissed}.{left_out}"


def _left_out(hold: HoldFacts) -> str:
    were = "was" if hold.left_out == 1 else "were"
    return f"{plural(hold.left_out, 'person', 'people')} had changed since, here or in Microsoft, and {were} left out."


def _ended(hold: HoldFacts) -> Ended:
    is_applied = hold.state == "applied"
    is_mixed = bool(hold.applied and (hold.dismissed or hold.left_out or hold.waiting))
    held = f"{plural(hold.count, 'person', 'people')} {'was' if hold.count == 1 else 'were'} held back; "
    if hold.is_replaced:
        about = (
            f"about the {number(hold.waiting)} who still waited" if hold.settled else "before anyone else did"
        )
        title = f"{held}a later run decided again {about}."
    else:
        title = (
            f"{held}that was {'applied in part' if is_mixed else 'applied' if is_applied else 'dismissed'}."
        )
    so_far = f"{decided_so_far(hold)} " if hold.settled else ""
    others = f"{plural(hold.waiting, 'other')} {'was' if hold.waiting == 1 else 'were'} not applied."
    if hold.is_disabled:
        rest = others if hold.applied else NONE_APPLIED
        return Ended(title, so_far, is_applied, " disabled the User Sync", rest)
    if is_applied and not is_mixed:
        return Ended(title, f"Applied to {plural(hold.applied, 'person', 'people')} by ", is_applied)
    if hold.applied:
        return Ended(title, f"{decided_so_far(hold)} Last decided by ", is_applied)
    left_out = f" {_left_out(hold)}" if hold.left_out else ""
    return Ended(title, "Dismissed by ", is_applied, "", f"{NONE_APPLIED}{left_out}")


NONE_APPLIED = "None of it was applied."


def question(word: str, chosen: Chosen, selection: Selection) -> Question:
    """The question before ``word`` (apply, dismiss or both) is done to the selection."""
    many = plural(chosen.number, "person", "people")
    act = {
        "apply": f"Apply to {many}",
        "dismiss": f"Dismiss for {many}",
        "both": f"Apply to {number(chosen.number)}, dismiss {number(chosen.left)}",
    }[word]
    if word == "dismiss":
        does = f"{_staying(chosen)}They are not held again until they change in Microsoft."
    else:
        does = (
            f"{_marked(chosen.marks)}{_created(chosen.creations)}People who have changed since are left out."
        )
    if word == "both":
        after = (
            f"{plural(chosen.left, 'other')} {'is' if chosen.left == 1 else 'are'} dismissed: left as they are, and not held "
            "again until they change in Microsoft. Nobody waits then, and the sync returns to Enabled."
        )
    elif chosen.left:
        wait = "waits" if chosen.left == 1 else "wait"
        after = f"{plural(chosen.left, 'other')} still {wait}, and the sync stays Paused."
    else:
        after = "Nobody waits then, and the sync returns to Enabled."
    label = "To be dismissed" if word == "dismiss" else "To be applied"
    lists = [(label, chosen.names, chosen.number)]
    if word == "both" and chosen.left:
        lists.append(("To be dismissed", chosen.others, chosen.left))
    is_plural = len(lists) > 1
    return Question(
        act,
        (does, after),
        [
            NameList(label, label if is_plural else "", names, max(0, count - len(names)))
            for label, names, count in lists
        ],
        {
            "everybody": "1" if selection.is_all else "",
            "others": " ".join(sorted(selection.others)),
            "count": chosen.number,
        },
    )


def _staying(chosen: Chosen) -> str:
    stay = ""
    if chosen.marks:
        verb, they = ("stays", "it is") if chosen.marks == 1 else ("stay", "they are")
        stay = f"{plural(chosen.marks, 'End User')} {verb} as {they}, without the changes that wait. "
    if chosen.creations:
        verb = "is" if chosen.creations == 1 else "are"
        stay += f"{plural(chosen.creations, 'person', 'people')} {verb} not added. "
    return stay


def _rows(run: SyncRun, people: service.HeldPeople) -> list[HeldRow]:
    products = product_names([run.microsoft_tenant_id or ""])
    emails = _emails(run, people.listing.items)
    return [_row(row, people, emails, products) for row in people.listing.items]


def _row(
    row: Change, people: service.HeldPeople, emails: Mapping[str, str], products: Mapping[str, str]
) -> HeldRow:
    # What the mark itself changes is said already.
    hidden = {"microsoft_status"} if row.decision == "mark_disabled" else set()
    changes = [
        (
            CHANGE_LABELS.get(field["field"], field["field"]),
            shown_value(field["field"], field["old"], products),
            shown_value(field["field"], field["new"], products),
        )
        for field in row.fields
        if field["field"] not in hidden
    ]
    at_once = 0 if row.decision == "create" else 1
    more = max(0, len(changes) - at_once)
    fold = f"Its {plural(more, 'value')}" if row.decision == "create" else plural(more, "more field")
    words = decision_words(row.decision)
    return HeldRow(
        row.object_id,
        row.display_name or row.object_id,
        f"/end-users/{row.end_user_id}" if row.end_user_id else "",
        emails.get(row.object_id, ""),
        words.icon,
        words.label,
        changes[:at_once],
        fold if more else "",
        changes[at_once:],
        reason_sentence(row.reason, row.note),
        people.selection.has(row.object_id),
    )


def _emails(run: SyncRun, rows: Sequence[Change]) -> dict[str, str]:
    """Object id -> the e-mail of those held back: the End User's, or Microsoft's where one would be made."""
    emails = runs.emails(rows)
    new = [row.object_id for row in rows if row.end_user_id not in emails]
    addresses = db.session.execute(
        select(DirectoryUser.object_id, DirectoryUser.email).where(
            DirectoryUser.microsoft_tenant_id == run.microsoft_tenant_id, DirectoryUser.object_id.in_(new)
        )
    )
    return {
        **{object_id: email for object_id, email in addresses},
        **{row.object_id: emails[row.end_user_id] for row in rows if row.end_user_id in emails},
    }
