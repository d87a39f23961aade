"""Short words for the records the pure engine works on."""

import hashlib
from dataclasses import fields, replace
from datetime import UTC, datetime

from portal.engine.plan import applied_key, count, decide, plan, tally
from portal.engine.plan.decide import microsoft_values
from portal.engine.records import (
    D1_FIELDS,
    Counts,
    EndUserKeys,
    EndUserState,
    FilterSpec,
    HoldRule,
    LinkState,
    PersonKeys,
    Presence,
    RemoteUser,
    SectionFilter,
    Snapshot,
)
from portal.text import email_key, text_key

GONE = Presence.GONE
SOFT = Presence.SOFT_DELETED
OLD, NEW = datetime(2020, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
_UNHASHED = {"content_hash", "presence", "problem", "is_agent", "created_at", "aliases"}


def remote(object_id, email="", **values):
    values.setdefault("display_name", object_id.title())
    return RemoteUser(object_id=object_id, email=email, **values)


def hashed(user):
    """The user with the hash of all that could be written of it, as the mirror keeps it; one that has it stays as it is."""
    if user.content_hash:
        return user
    parts = [repr(getattr(user, f.name)) for f in fields(user) if f.name not in _UNHASHED]
    return replace(user, content_hash=hashlib.sha256("\n".join(parts).encode()).hexdigest()[:40])


def person(end_user_id, email="", *, link=None, pinned=(), **values):
    return EndUserState(
        id=end_user_id,
        fields={**dict.fromkeys(D1_FIELDS, ""), "email": email, **values},
        link=link,
        pinned=frozenset(pinned),
    )


def linked(object_id, **values):
    return LinkState(object_id=object_id, microsoft_tenant_id="mt", **values)


def same(user, end_user_id, *, pinned=(), **link_values):
    """An End User that is linked to ``user`` and has exactly what Microsoft has."""
    found = microsoft_values(user)
    values = {
        "written": {name: value for name, value in found.items() if value},
        "immutable_id": user.immutable_id,
        "user_principal_name": user.user_principal_name,
        "license_sku_ids": user.license_sku_ids,
        "applied_hash": applied_key(hashed(user).content_hash, pinned),
        **link_values,
    }
    return EndUserState(end_user_id, found, linked(user.object_id, **values), frozenset(pinned))


def only(**sections):
    return FilterSpec(
        **{name: SectionFilter(all=False, values=tuple(values)) for name, values in sections.items()}
    )


def person_keys(user):
    key = email_key(user.email)
    return PersonKeys(
        object_id=user.object_id,
        presence=user.presence.value,
        email_key=key,
        aliases=user.aliases,
        domain=key.rpartition("@")[2],
        user_type=user.user_type,
        office_key=text_key(user.office_location),
        department_key=text_key(user.department),
        account_enabled=user.account_enabled,
        created_at=user.created_at,
        immutable_id=user.immutable_id,
        is_licensed=bool(user.license_sku_ids),
        is_agent=user.is_agent,
        has_problem=bool(user.problem),
        content_hash=hashed(user).content_hash,
    )


def end_user_keys(state):
    link = state.link
    return EndUserKeys(
        id=state.id,
        email_key=state.email_key,
        object_id=link.object_id if link is not None else None,
        is_foreign=link is not None and link.is_foreign,
        is_disabled=link is not None and link.is_disabled,
        is_in_scope=link is not None and link.is_in_scope,
        immutable_id=link.immutable_id if link is not None else "",
        applied_hash=link.applied_hash if link is not None else "",
        pins=tuple(sorted(state.pinned)),
    )


def snapshot(users=(), people=(), **values):
    return Snapshot(
        organization_id="org",
        microsoft_tenant_id="mt",
        filters=values.pop("filters", FilterSpec()),
        people=tuple(person_keys(user) for user in users),
        end_users=tuple(end_user_keys(state) for state in people),
        **values,
    )


NO_HOLDS = HoldRule(percent=100, minimum=10**9, create_minimum=10**9)


def planned(
    users=(),
    people=(),
    *,
    rule=NO_HOLDS,
    is_initial=False,
    dismissed=frozenset(),
    always=None,
    staying=(),
    **values,
):
    """The plan, everybody told of."""
    everybody = {u.object_id for u in users} | {p.link.object_id for p in people if p.link is not None}
    shot = snapshot(users, people, **values)
    told = everybody if always is None else always
    return plan(shot, is_initial=is_initial, rule=rule, dismissed=dismissed, always=told, staying=staying)


def decided(found, users, people):
    """Every Decision of a plan, by object id."""
    by_id = {user.object_id: hashed(user) for user in users}
    rows = {state.id: state for state in people}
    return {
        a.object_id: decide(a, by_id.get(a.object_id), rows.get(a.end_user_id)) for a in found.assignments
    }


def counted(found, users, people):
    """A plan's counts once everything that is not held is written."""
    told = decided(found, users, people)
    return Counts(**count(found, tally(told[a.object_id] for a in found.assignments if not a.is_held)))


def decisions(users=(), people=(), **values):
    return decided(planned(users, people, **values), users, people)


def applied(found, users, people):
    """The End Users once every Decision that is not held is written, as ``columns`` say."""
    rows = {state.id: state for state in people}
    told = decided(found, users, people)
    for assignment in found.assignments:
        decision = told[assignment.object_id]
        columns = dict(decision.columns)
        if assignment.is_held or not columns:
            continue
        old = rows.get(decision.end_user_id) or person(f"new {decision.object_id}")
        values = {name: columns.pop(name) for name in D1_FIELDS if name in columns}
        base = None if decision.makes_link else old.link
        link = base or LinkState("", "mt")
        link = replace(
            link,
            object_id=columns.pop("object_id", link.object_id),
            user_principal_name=columns.pop("user_principal_name", link.user_principal_name),
            immutable_id=columns.pop("immutable_id", link.immutable_id),
            is_disabled=columns.pop("microsoft_status", "disabled" if link.is_disabled else "active")
            == "disabled",
            is_in_scope=columns.pop("in_scope", link.is_in_scope),
            license_sku_ids=tuple(columns.pop("license_sku_ids", link.license_sku_ids)),
            written=columns.pop("written", link.written),
            applied_hash=columns.pop("applied_hash", link.applied_hash),
        )
        columns.pop("is_licensed", None)
        assert columns == {}
        rows[old.id] = replace(old, fields={**old.fields, **values}, link=link)
    return list(rows.values())


def marks(decision):
    """What becomes of the mark, as (old, new); None when it stays."""
    return next(((c.old, c.new) for c in decision.changes if c.field == "microsoft_status"), None)


def d1(decision):
    """The D1 fields that change, by name."""
    return {c.field: c.new for c in decision.changes if c.field in D1_FIELDS}


def adds_up(counts):
    """G8: the counts add up."""
    decided_on = counts.created + counts.linked + counts.updated + counts.unchanged + counts.disabled
    decided_on += counts.enabled + counts.conflicts + counts.held
    return (
        counts.read == counts.in_scope + counts.out_of_scope + counts.skipped
        and counts.in_scope == decided_on
    )


def said(decision):
    return decision.action, decision.reason
