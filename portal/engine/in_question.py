"""Loads the keys of people in question; the database itself excludes the others, and counts them.

At rest is a linked person about whom ``plan.classify`` would say "unchanged" at the first look: present, within the filters,
Microsoft's record applied as it is, with the address that Microsoft has. Whatever becomes of others, it does nothing to somebody
at rest: who has an address keeps it. So only those at rest whose address somebody else wants are loaded, for others to see.

What is compared is what is there now, never what an earlier run remembers of it. What SQL cannot tell for sure is in question.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, func, literal, or_, select, true
from sqlalchemy.orm import Session, aliased

from portal.engine.batches import batches
from portal.engine.bulk import joining_wholes
from portal.engine.organization_context import OrganizationContext
from portal.engine.plan.scope import TEXT_KEYS
from portal.engine.records import SECTIONS, EndUserKeys, PersonKeys, Presence, Snapshot
from portal.engine.scope import prepare
from portal.engine.snapshot import END_USER_KEYS, PERSON_KEYS, deleted_groups, end_user_keys, groups_of
from portal.models import DirectoryUser, EndUser, GroupMembership, Organization
from portal.text import text_key

MOST_VALUES = 2_000
"""More values than this are not handed to the database in one statement: then everybody is looked at."""
_USER_TYPES = ("Member", "Guest")  # as nearly everybody's is spelled (S4)
_PRESENT = Presence.PRESENT.value
_IS_LINKED = EndUser.object_id.is_not(None)


def in_question(
    session: Session, context: OrganizationContext, also: Collection[str] = ()
) -> Snapshot | None:
    """The part of ``context.snapshot`` that a plan depends on: planned on either, the same comes out.

    also: object ids that are loaded in any case, since the plan is to tell of them. None when the whole must be looked at: there
    are too many values to compare with, or somebody else changed people while keys were read.
    """
    values = _Values(session, context, also)
    if values.number > MOST_VALUES:
        return None
    keys = _Keys(session, context)
    keys.load(values)
    counted = session.execute(
        select(
            _count(EndUser, EndUser.organization_id == context.organization_id, *_linked_to(context)),
            _count(DirectoryUser, *_present_in(context)),
            select(Organization.people_version)
            .where(Organization.id == context.organization_id)
            .scalar_subquery(),
        )
    ).one()
    linked, present, version = counted
    if version != context.people_version:
        return None
    resting = linked - sum(1 for row in keys.rows.values() if row.object_id and not row.is_foreign)
    loaded = sum(1 for person in keys.people.values() if person.presence == _PRESENT)
    return Snapshot(
        organization_id=context.organization_id,
        microsoft_tenant_id=context.microsoft_tenant_id,
        filters=context.filters,
        people=tuple(keys.people.values()),
        end_users=tuple(keys.rows.values()),
        groups_of=groups_of(session, context.microsoft_tenant_id, context.filters, keys.people),
        deleted_groups=values.deleted_groups,
        is_complete=context.is_complete,
        never_sync=context.never_sync,
        ignored_conflicts=context.ignored_conflicts,
        settled_links=context.settled_links,
        resting=resting,
        outside=present - loaded - resting,
    )


class _Values:
    """What the database compares with: the filters' values, and who is in question whatever the keys say."""

    def __init__(self, session: Session, context: OrganizationContext, also: Collection[str]) -> None:
        filters, never = context.filters, context.never_sync
        self.tenant_id = context.microsoft_tenant_id
        self.deleted_groups = deleted_groups(session, context.microsoft_tenant_id, filters)
        accepted = prepare(filters, self.deleted_groups).values
        self.texts = {
            column: accepted[section]
            for section, column in TEXT_KEYS.items()
            if not getattr(filters, section).all
        }
        self.user_types = None if filters.user_type.all else accepted["user_type"]
        self.groups = None if filters.group.all else accepted["group"]
        self.named_groups = [value for value in filters.group.values if value]
        self.immutable_ids = never.immutable_ids
        self.object_ids = {*also, *never.object_ids}
        settled_ids = sorted(set(context.settled_links.values()))
        for part in batches(settled_ids):  # M7: whom somebody else was given the End User of
            object_ids = session.scalars(select(EndUser.object_id).where(EndUser.id.in_(part), _IS_LINKED))
            self.object_ids.update(object_id for object_id in object_ids if object_id)
        self.number = sum(
            map(
                len,
                (
                    self.object_ids,
                    self.immutable_ids,
                    settled_ids,
                    *(getattr(filters, s).values for s in SECTIONS),
                ),
            )
        )


class _Keys:
    """Keys by object id and by End User, as far as they are loaded."""

    def __init__(self, session: Session, context: OrganizationContext) -> None:
        self.session, self.context = session, context
        self.people: dict[str, PersonKeys] = {}
        self.rows: dict[str, EndUserKeys] = {}

    def load(self, values: _Values) -> None:
        """Who is in question, End Users without a present person of their own, and who has an address that one of these wants."""
        context = self.context
        for condition in _not_linked(context):
            self._add_rows(EndUser.organization_id == context.organization_id, condition)
        self._add_rows(
            _quietly(EndUser.organization_id) == context.organization_id,
            *_linked_to(context),
            ~_is_mirrored(),
        )
        are_addresses_free = any(row.email_key for row in self.rows.values())
        who = select(DirectoryUser.object_id).where(
            _is_at_rest(values).is_not(true()),
            _is_outside(values, context, are_addresses_free).is_not(true()),
            or_(DirectoryUser.presence == _PRESENT, _IS_LINKED),
        )
        with joining_wholes(self.session):
            object_ids = [object_id for (object_id,) in self._execute(_with_end_users(who, context))]
        self._add_people(object_ids)
        held = {row.email_key for row in self.rows.values()}
        email_keys = {person.email_key for person in self.people.values() if person.presence == _PRESENT}
        for part in batches(sorted(email_keys - held - {""})):
            self._add_holders(part)

    def _add_people(self, object_ids: Sequence[str]) -> None:
        """People, with the End Users that are linked to them."""
        width = len(PERSON_KEYS)
        both = _with_end_users(select(*PERSON_KEYS, *END_USER_KEYS), self.context)
        for part in batches(object_ids):
            for row in self._execute(both.where(DirectoryUser.object_id.in_(part))):
                person = PersonKeys._make(row[:width])
                self.people[person.object_id] = person
                if row[width] is not None:
                    self._add_row(row[width:])

    def _add_rows(self, *conditions: ColumnElement[bool]) -> None:
        for row in self._execute(select(*END_USER_KEYS).where(*conditions)):
            self._add_row(row)

    def _add_row(self, row: Sequence[Any]) -> None:
        context = self.context
        self.rows[row[0]] = end_user_keys(row, context.microsoft_tenant_id, context.pins)

    def _add_holders(self, keys: Iterable[str]) -> None:
        """Those at rest who have one of these addresses."""
        context = self.context
        holders = (
            select(EndUser.object_id)
            .where(EndUser.organization_id == context.organization_id, EndUser.email_key.in_(keys))
            .where(*_linked_to(context))
        )
        self._add_people([i for i in self.session.scalars(holders) if i])

    def _execute(self, statement: Any) -> Any:
        # Past the Session: rows as they come, none of which it is to keep.
        return self.session.connection().execute(statement)


# -- conditions ------------------------------------------------------------------------------------------------------


def _is_at_rest(values: _Values) -> ColumnElement[bool]:
    """As ``plan.classify`` tells at the first look, of a person and the End User linked to it; false or null when it is not sure."""
    is_disabled = EndUser.microsoft_status == "disabled"
    conditions = [
        EndUser.applied_hash == DirectoryUser.content_hash,
        func.coalesce(EndUser.email_key, "") == DirectoryUser.email_key,
        EndUser.in_scope.is_(True),
        or_(DirectoryUser.account_enabled.is_(None), DirectoryUser.account_enabled != is_disabled),
        *_is_usable(values),
    ]
    if values.immutable_ids:
        conditions.append(DirectoryUser.immutable_id.not_in(values.immutable_ids))
    conditions += [accepts for accepts, _ in _verdicts(values)]
    return and_(*conditions)


def _is_outside(
    values: _Values, context: OrganizationContext, are_addresses_free: bool
) -> ColumnElement[bool]:
    """Outside the filters and not linked. Who has an address of an End User who is not linked counts for its aliases (M2)."""
    refusals = [refuses for _, refuses in _verdicts(values)]
    if not refusals:
        return literal(False)
    conditions = [EndUser.object_id.is_(None), or_(*refusals), *_is_usable(values)]
    if are_addresses_free:
        other = aliased(EndUser)
        has_it = select(literal(1)).where(
            other.organization_id == context.organization_id, other.email_key == DirectoryUser.email_key
        )
        conditions += [DirectoryUser.aliases == (), ~has_it.exists()]
    return and_(*conditions)


def _is_usable(values: _Values) -> list[ColumnElement[bool]]:
    conditions = [
        DirectoryUser.presence == _PRESENT,
        DirectoryUser.problem == "",
        DirectoryUser.is_agent.is_(False),
    ]
    if values.object_ids:
        conditions.append(DirectoryUser.object_id.not_in(values.object_ids))
    return conditions


def _verdicts(values: _Values) -> list[tuple[ColumnElement[bool], ColumnElement[bool]]]:
    """For each section that narrows: what accepts for sure, and what refuses for sure (S1)."""
    verdicts = []
    for column, accepted in values.texts.items():
        is_one = getattr(DirectoryUser, column).in_(accepted)
        verdicts.append((is_one, ~is_one))
    if values.user_types is not None:
        right = [name for name in _USER_TYPES if text_key(name) in values.user_types]
        wrong = [name for name in _USER_TYPES if name not in right]
        verdicts.append((DirectoryUser.user_type.in_(right), DirectoryUser.user_type.in_(wrong)))
    if values.groups is not None:
        accepts = _is_member(values.tenant_id, [g for g in values.named_groups if g in values.groups])
        if "" in values.groups:
            accepts = or_(accepts, ~_is_member(values.tenant_id, values.named_groups))
        verdicts.append((accepts, ~accepts))
    return verdicts


def _is_member(tenant_id: str, groups: Sequence[str]) -> ColumnElement[bool]:
    members = select(GroupMembership.user_object_id).where(
        GroupMembership.microsoft_tenant_id == tenant_id,
        GroupMembership.group_object_id.in_(groups),
    )
    return DirectoryUser.object_id.in_(members)


def _linked_to(context: OrganizationContext) -> tuple[ColumnElement[bool], ...]:
    return (EndUser.microsoft_tenant_id == context.microsoft_tenant_id, _IS_LINKED)


def _not_linked(context: OrganizationContext) -> tuple[ColumnElement[bool], ...]:
    """Not linked, or linked to another Microsoft Tenant (R4): one of these, each of which an index tells."""
    of_tenant = EndUser.microsoft_tenant_id
    return (
        of_tenant.is_(None),
        of_tenant < context.microsoft_tenant_id,
        of_tenant > context.microsoft_tenant_id,
        and_(of_tenant == context.microsoft_tenant_id, EndUser.object_id.is_(None)),
    )


def _is_mirrored() -> ColumnElement[bool]:
    return (
        select(literal(1))
        .where(
            DirectoryUser.microsoft_tenant_id == EndUser.microsoft_tenant_id,
            DirectoryUser.object_id == EndUser.object_id,
        )
        .exists()
    )


def _with_end_users(statement: Any, context: OrganizationContext) -> Any:
    """The mirror's people, and the End User that each is linked to, if any."""
    is_own = and_(
        _quietly(EndUser.organization_id) == context.organization_id,
        EndUser.microsoft_tenant_id == DirectoryUser.microsoft_tenant_id,
        EndUser.object_id == DirectoryUser.object_id,
    )
    joined = statement.select_from(DirectoryUser).outerjoin(EndUser, is_own)
    return joined.where(DirectoryUser.microsoft_tenant_id == context.microsoft_tenant_id)


def _present_in(context: OrganizationContext) -> tuple[ColumnElement[bool], ...]:
    return (
        DirectoryUser.microsoft_tenant_id == context.microsoft_tenant_id,
        DirectoryUser.presence == _PRESENT,
    )


def _count(model: Any, *conditions: ColumnElement[bool]) -> Any:
    return select(func.count()).select_from(model).where(*conditions).scalar_subquery()


def _quietly(column: Any) -> ColumnElement[str]:
    """A column that SQLite is not to choose an index by: one that begins with it has not all the others."""
    return column.concat("")  # type: ignore[no-any-return]
