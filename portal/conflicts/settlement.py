"""Settling conflicts (M7): both sides with what it takes to decide, whose Link goes for it, and how that is taken back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from portal.clock import utcnow
from portal.end_users.documents import product_names
from portal.engine.licenses import product_name
from portal.engine.records import Presence
from portal.engine.undo import link_before, put_link_back
from portal.engine.uniqueness import account_of, taken_accounts
from portal.models import Conflict, DirectoryUser, EndUser, Organization
from portal.text import email_key


@dataclass(frozen=True)
class Side:
    """One side of a conflict: a Microsoft user, with the End User linked to it here, or an End User without one.

    object_id: None for an End User who is not linked. user: as the mirror has it, None when Microsoft has it no more.
    licenses: (sku id, today's name) of its products.
    """

    object_id: str | None
    user: DirectoryUser | None = None
    end_user: EndUser | None = None
    licenses: tuple[tuple[str, str], ...] = ()

    def document(self) -> dict[str, Any]:
        """A side as the API shows it."""
        user = self.user
        name = user.display_name if user is not None else ""
        return {
            "object_id": self.object_id,
            "user_principal_name": user.user_principal_name if user is not None else "",
            "display_name": name or (self.end_user.display_name if self.end_user is not None else ""),
            "enabled": user.account_enabled if user is not None else None,
            "created_at": user.created_at if user is not None else None,
            "last_sign_in_at": user.last_sign_in_at if user is not None else None,
            "licenses": [{"sku_id": sku_id, "name": name} for sku_id, name in self.licenses],
            "end_user_id": self.end_user.id if self.end_user is not None else None,
        }


@dataclass(frozen=True)
class CandidateEndUser:
    """An End User who may be meant. is_own: linked to the conflict's Microsoft user already.

    other: UPN of the Microsoft user whom they are linked to, who still exists and would lose them; "" for none.
    holder: another End User who is linked to the conflict's Microsoft user, and would be unlinked.
    """

    end_user: EndUser
    is_own: bool = False
    other: str = ""
    holder: EndUser | None = None


@dataclass(frozen=True)
class Question:
    """A conflict with both sides and everybody who may be chosen."""

    sides: tuple[Side, ...]
    choices: tuple[CandidateEndUser, ...]


def questions(session: Session, organization: Organization, rows: Sequence[Conflict]) -> dict[str, Question]:
    """Conflict id → what is to be decided, for the conflicts of one page, in a handful of queries."""
    tenant_id = organization.tenant.microsoft_tenant_id or ""
    people = _people(session, organization.id, tenant_id, rows)
    object_ids = {row.object_id for row in rows} | {row.other_object_id for row in rows}
    object_ids |= {person.object_id for person in people if person.microsoft_tenant_id == tenant_id}
    users = _mirrored(session, tenant_id, [object_id for object_id in object_ids if object_id])
    names = product_names([tenant_id])
    linked = {person.object_id or "": person for person in people if person.microsoft_tenant_id == tenant_id}
    by_id = {}
    for row in rows:
        meant = [person for person in people if _may_be_meant(row, person)]
        objects = dict.fromkeys(
            [
                row.object_id,
                row.other_object_id,
                *(person.object_id for person in meant if person.microsoft_tenant_id == tenant_id),
            ]
        )
        sides = [_side(users.get(key), linked.get(key), key, names) for key in objects if key]
        sides += [Side(None, end_user=person) for person in meant if person.microsoft_tenant_id != tenant_id]
        choices = [_choice(row, person, tenant_id, users, linked) for person in meant]
        by_id[row.id] = Question(tuple(sides), tuple(choices))
    return by_id


def give(session: Session, row: Conflict, organization: Organization, end_user: EndUser) -> None:
    """Settle with "link": unlink both sides now, so that the next run links them with each other. The caller flushes.

    The present holder of the End User or the Microsoft user is unlinked; their own conflicts about it are settled too.
    """
    question = questions(session, organization, [row])[row.id]
    choice = next((choice for choice in question.choices if choice.end_user.id == end_user.id), None)
    if choice is None:
        tenant_id = organization.tenant.microsoft_tenant_id or ""
        users = _mirrored(session, tenant_id, [end_user.object_id or ""])
        linked = {side.object_id or "": side.end_user for side in question.sides if side.end_user is not None}
        choice = _choice(row, end_user, tenant_id, users, linked)
    links = {end_user.id: link_before(end_user)}
    settled = []
    if choice.other:
        settled = _settle_others(session, row, end_user.object_id or "")
        put_link_back(end_user, None)
    if choice.holder is not None:
        links[choice.holder.id] = link_before(choice.holder)
        put_link_back(choice.holder, None)
    row.resolved_end_user_id = end_user.id
    row.before = {"links": links, "with": settled}


def take_back(session: Session, row: Conflict) -> None:
    """Reopen a settled conflict and those that were settled with it, and restore the Links that it took.

    A Link is not restored if another End User has the account now. Links made since are kept.
    """
    links: Mapping[str, Any] = row.before.get("links", {})
    people = {row.id: row for row in session.scalars(select(EndUser).where(EndUser.id.in_(list(links))))}
    back = {
        end_user_id: before
        for end_user_id, before in links.items()
        if end_user_id in people and people[end_user_id].object_id in {None, row.object_id}
    }
    accounts = {end_user_id: account_of(before) for end_user_id, before in back.items() if before is not None}
    unlinked = [end_user_id for end_user_id, before in back.items() if before is None]
    reassigned = taken_accounts(session, row.organization_id, accounts, unlinked)
    for end_user_id in back:
        people[end_user_id].object_id = None
    session.flush()
    for end_user_id, before in back.items():
        put_link_back(people[end_user_id], None if end_user_id in reassigned else before)
    others = session.scalars(select(Conflict).where(Conflict.id.in_(row.before.get("with", []))))
    for conflict in (row, *others):
        conflict.resolution = conflict.resolved_at = conflict.resolved_end_user_id = None
        conflict.resolved_by, conflict.before = "", {}
    session.flush()


def _settle_others(session: Session, row: Conflict, object_id: str) -> list[str]:
    """Ids of the open conflicts of the Microsoft user who loses the End User: they are settled with this one."""
    others = session.scalars(
        select(Conflict).where(
            Conflict.organization_id == row.organization_id,
            Conflict.object_id == object_id,
            Conflict.id != row.id,
            Conflict.resolved_at.is_(None),
        )
    ).all()
    for other in others:
        other.resolution, other.resolved_at, other.resolved_by = "ignore", utcnow(), row.resolved_by
    return [row.id for row in others]


def _may_be_meant(row: Conflict, end_user: EndUser) -> bool:
    key = email_key(row.email)
    return end_user.id == row.end_user_id or bool(key and end_user.email_key == key)


def _choice(
    row: Conflict,
    end_user: EndUser,
    tenant_id: str,
    users: Mapping[str, DirectoryUser],
    linked: Mapping[str, EndUser],
) -> CandidateEndUser:
    is_linked_here = bool(tenant_id) and end_user.microsoft_tenant_id == tenant_id
    if is_linked_here and end_user.object_id == row.object_id:
        return CandidateEndUser(end_user, is_own=True)
    user = users.get(end_user.object_id or "") if is_linked_here else None
    is_present = user is not None and user.presence == Presence.PRESENT.value
    other = (end_user.user_principal_name or end_user.object_id or "") if is_present else ""
    return CandidateEndUser(end_user, other=other, holder=linked.get(row.object_id))


def _side(
    user: DirectoryUser | None, end_user: EndUser | None, object_id: str, names: Mapping[str, str]
) -> Side:
    skus = user.license_sku_ids if user is not None else ()
    licenses = tuple((str(sku), names.get(sku) or product_name(sku)) for sku in skus)
    return Side(object_id, user, end_user, licenses)


def _people(
    session: Session, organization_id: str, tenant_id: str, rows: Iterable[Conflict]
) -> Sequence[EndUser]:
    """Everybody of the Organization whom these conflicts may be about."""
    rows = list(rows)
    ids = [row.end_user_id for row in rows if row.end_user_id]
    keys = [key for row in rows if (key := email_key(row.email))]
    objects = [object_id for row in rows for object_id in (row.object_id, row.other_object_id) if object_id]
    is_linked = (EndUser.microsoft_tenant_id == tenant_id) & EndUser.object_id.in_(objects)
    return session.scalars(
        select(EndUser)
        .where(
            EndUser.organization_id == organization_id,
            or_(EndUser.id.in_(ids), EndUser.email_key.in_(keys), is_linked),
        )
        .order_by(EndUser.sort_name, EndUser.id)
    ).all()


def _mirrored(session: Session, tenant_id: str, object_ids: Sequence[str]) -> dict[str, DirectoryUser]:
    rows = session.scalars(
        select(DirectoryUser).where(
            DirectoryUser.microsoft_tenant_id == tenant_id, DirectoryUser.object_id.in_(object_ids)
        )
    )
    return {row.object_id: row for row in rows}
