"""What the recovery pages show: whom a sync created and whom it linked, and why to look twice (R3). No queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from portal.engine.restore import Restoration
from portal.http.formatting import number, plural
from portal.models import EndUser, MicrosoftTenant, Organization, SyncRun, Tenant, UserSync
from portal.recovery.choice import RecoverySelection
from portal.recovery.service import Candidate, Doubt, RecoveryPage, SyncedTenant
from portal.text import search_forms, text_key

SHOWN = 50  # check boxes on one page; one more stands for all others
NAMED = 500  # names in the question whether these shall go
FIRST = 5  # names in a line
LINKED = 100
SEARCH_FROM = 10

DOUBTS: Mapping[Doubt, str] = {
    Doubt.UNLINKED: "unlinked already",
    Doubt.ELSEWHERE: "now linked to another Microsoft tenant",
    Doubt.EDITED: "edited by hand",
    Doubt.NOTES: "has notes",
    Doubt.ASSETS: "owns Assets",
}


@dataclass(frozen=True)
class Person:
    """Somebody a sync created. doubt: why to look twice, the first reason; details: all of them; "" for none."""

    id: str
    name: str
    email: str
    created_at: datetime
    is_chosen: bool
    doubt: str
    details: str


@dataclass(frozen=True)
class Created:
    """Whom the syncs created. number: of all; careful: of those to look at twice; fitting: of those that were asked for.

    people: the first of these. elsewhere: (id, is chosen) of those who were listed before and are not now. unseen: how many never
    were, and with ``takes_rest`` go too.
    """

    number: int
    careful: int
    fitting: int
    people: Sequence[Person]
    elsewhere: Sequence[tuple[str, bool]]
    unseen: int
    takes_rest: bool
    look: str
    q: str

    @property
    def is_careful(self) -> bool:
        """Those to look at twice are asked for."""
        return self.look == "careful"

    @property
    def has_search(self) -> bool:
        """There is something to search in, or a search to leave."""
        return self.number > SEARCH_FROM or bool(self.q or self.look)

    @property
    def is_cut(self) -> bool:
        """Some that fit are not listed."""
        return self.fitting > len(self.people)

    @property
    def chosen_elsewhere(self) -> int:
        """How many are checked and not listed."""
        return sum(is_chosen for _, is_chosen in self.elsewhere)


@dataclass(frozen=True)
class Effect:
    """What comes back for one person, as (field, now, back to), or what stays as it was edited since."""

    name: str
    fields: Sequence[tuple[str, str, str]]
    spared: str


@dataclass(frozen=True)
class Linked:
    """Whom the syncs only linked: the first as (id, name), how many more, what comes back and what stays."""

    number: int
    first: Sequence[tuple[str, str]]
    more: int
    restored: Sequence[Effect]
    spared: Sequence[Effect]


@dataclass(frozen=True)
class RecoveryView:
    """The four steps. mapped: the Microsoft tenant now; wrong: the one this is about, of those ever ``synced`` with.

    unlink: the box for it is checked. siblings: other Organizations of the Tenant, the first. free, others: what can be mapped
    to, and the Tenants to move to, as (id, label). fit: the check of addresses in words, "" when there is none.
    """

    step: int
    problem: str
    organization: Organization
    mapped: MicrosoftTenant | None
    sync: UserSync | None
    is_on: bool
    synced: Sequence[SyncedTenant]
    wrong: SyncedTenant | None
    created: Created
    linked: Linked
    untouched: int
    unlink: bool
    siblings: Sequence[Organization]
    more_siblings: int
    free: Sequence[tuple[str, str]]
    others: Sequence[tuple[str, str]]
    fit: str
    first_run: SyncRun | None


@dataclass(frozen=True)
class ConfirmView:
    """What is asked before people are deleted. going, staying: how many whom a sync created; unlinked: how many lose the Link.

    first: names for one line; people: (name, why to look twice). fields: hidden inputs of the form, (name, value).
    """

    organization: Organization
    wrong: SyncedTenant | None
    going: int
    staying: int
    assets: int
    unlinked: int
    first: str
    people: Sequence[tuple[str, str]]
    fields: Sequence[tuple[str, str]]
    linked: Linked

    @property
    def more(self) -> int:
        """How many are not named."""
        return self.going - len(self.people)

    @property
    def button(self) -> str:
        """What is done, in words."""
        if not self.going:
            return f"Unlink {number(self.unlinked)}"
        return f"Delete {number(self.going)}" + (
            f" and unlink {number(self.unlinked)}" if self.unlinked else ""
        )


def created(people: RecoveryPage, choice: RecoverySelection, look: str, q: str) -> Created:
    """The list of the second step, with what was checked before."""
    fitting = [
        candidate
        for candidate in people.created
        if (look != "careful" or candidate.doubts) and _fits(candidate.end_user, q)
    ]
    first_rows = fitting[:SHOWN]
    listed = {row.end_user.id for row in first_rows}
    return Created(
        number=len(people.created),
        careful=sum(bool(candidate.doubts) for candidate in people.created),
        fitting=len(fitting),
        people=[_person(row, is_chosen=choice.has(row)) for row in first_rows],
        elsewhere=[
            (candidate.end_user.id, choice.has(candidate))
            for candidate in people.created
            if candidate.end_user.id in choice.shown_ids - listed
        ],
        unseen=replace(choice, shown_ids=choice.shown_ids | listed).unseen(people.created),
        takes_rest=choice.rest,
        look=look,
        q=q,
    )


def linked(people: RecoveryPage) -> Linked:
    """Whom the syncs linked, and what goes back for them."""
    first = [(candidate.end_user.id, candidate.end_user.display_name) for candidate in people.linked[:LINKED]]
    return Linked(
        number=len(people.linked),
        first=first,
        more=len(people.linked) - len(first),
        restored=[_effect(plan) for plan in people.restored],
        spared=[_effect(plan) for plan in people.spared],
    )


def confirm(
    organization: Organization,
    wrong: SyncedTenant | None,
    people: RecoveryPage,
    choice: RecoverySelection,
    *,
    unlink: bool,
) -> ConfirmView:
    """The question about those whom ``choice`` has."""
    chosen = [candidate for candidate in people.created if choice.has(candidate)]
    delete_ids = choice.ids | {candidate.end_user.id for candidate in chosen}
    names = [candidate.end_user.display_name for candidate in chosen[:FIRST]]
    more = f" and {number(len(chosen) - FIRST)} more" if len(chosen) > FIRST else ""
    carried = {"from": wrong.id if wrong else "", "unlink": unlink and "1", "rest": choice.rest and "1"}
    return ConfirmView(
        organization=organization,
        wrong=wrong,
        going=len(chosen),
        staying=len(people.created) - len(chosen),
        assets=sum(len(candidate.end_user.assets) for candidate in chosen),
        unlinked=len(people.linked) + len(people.staying(delete_ids)) if unlink else 0,
        first=", ".join(names) + more,
        people=[
            (
                candidate.end_user.display_name,
                ", ".join(_words(doubt, candidate) for doubt in candidate.doubts),
            )
            for candidate in chosen[:NAMED]
        ],
        fields=[
            ("confirmed", str(len(chosen))),
            *((name, value) for name, value in carried.items() if value),
            *(("id" if id_ in choice.ids else "seen", id_) for id_ in sorted(choice.shown_ids)),
        ],
        linked=linked(people) if unlink else Linked(0, (), 0, (), ()),
    )


def first_siblings(organization: Organization) -> tuple[list[Organization], int]:
    """The first of the other Organizations of its Tenant, and how many more there are."""
    siblings = [row for row in organization.tenant.organizations if row.id != organization.id]
    return siblings[:FIRST], max(0, len(siblings) - FIRST)


def options(rows: Iterable[Tenant]) -> list[tuple[str, str]]:
    """Tenants to choose from."""
    return [(row.id, row.name) for row in rows]


def microsoft_options(rows: Iterable[MicrosoftTenant]) -> list[tuple[str, str]]:
    """Microsoft tenants to choose from, each with its main domain."""
    choices = []
    for row in rows:
        domains = "".join(f" ({domain['name']})" for domain in row.domains if domain.get("is_default"))
        choices.append((row.id, f"{row.name}{domains}"))
    return choices


def fit(overlap: Mapping[str, Any] | None) -> str:
    """How many known addresses belong to the mapped tenant's domains."""
    if not overlap or not overlap["known"]:
        return ""
    return f"{number(overlap['matching'])} of {number(overlap['known'])} known addresses"


def _person(candidate: Candidate, *, is_chosen: bool) -> Person:
    row, details = candidate.end_user, ", ".join(_words(doubt, candidate) for doubt in candidate.doubts)
    first = DOUBTS[candidate.doubts[0]] if candidate.doubts else ""
    if row.assets:
        details += f": {', '.join(asset.name for asset in row.assets)}"
    return Person(
        id=row.id,
        name=row.display_name,
        email=row.email,
        created_at=row.created_at,
        is_chosen=is_chosen,
        doubt=first[:1].upper() + first[1:],
        details=details,
    )


def _words(doubt: Doubt, candidate: Candidate) -> str:
    if doubt is Doubt.ASSETS:
        return f"owns {plural(len(candidate.end_user.assets), 'Asset')}"
    return DOUBTS[doubt]


def _effect(plan: Restoration) -> Effect:
    return Effect(
        plan.end_user.display_name,
        [(_label(name), now, back) for name, (now, back) in plan.fields.items()],
        _label(", ".join(plan.spared)),
    )


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _fits(row: EndUser, q: str) -> bool:
    text = f"{text_key(row.display_name)} {text_key(row.email)} {row.email_key}"
    return all(any(form in text for form in search_forms(word)) for word in text_key(q).split())
