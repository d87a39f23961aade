"""Short words for the records the pure engine works on."""

from portal.engine.decide import plan
from portal.engine.records import (
    D1_FIELDS,
    EndUserState,
    FilterSpec,
    LinkState,
    Presence,
    RemoteUser,
    SectionFilter,
    Snapshot,
)


def remote(object_id, email="", **values):
    values.setdefault("display_name", object_id.title())
    return RemoteUser(object_id=object_id, email=email, **values)


def person(end_user_id, email="", *, link=None, pinned=(), **fields):
    return EndUserState(
        id=end_user_id,
        fields={**dict.fromkeys(D1_FIELDS, ""), "email": email, **fields},
        link=link,
        pinned=frozenset(pinned),
    )


def linked(object_id, **values):
    return LinkState(object_id=object_id, microsoft_tenant_id="mt", **values)


def only(**sections):
    return FilterSpec(**{name: SectionFilter(all=False, values=tuple(values)) for name, values in sections.items()})


def snapshot(users=(), people=(), **values):
    return Snapshot(
        organization_id="org",
        microsoft_tenant_id="mt",
        filters=values.pop("filters", FilterSpec()),
        users=tuple(users),
        end_users=tuple(people),
        **values,
    )


def decisions(*args, **values):
    return {d.object_id: d for d in plan(snapshot(*args, **values)).decisions}


def same(user, end_user_id, **link_values):
    """An End User that is linked to ``user`` and has exactly what Microsoft has."""
    from portal.engine.changes import wanted

    fields = wanted(user)
    link = linked(user.object_id, written=dict(fields), immutable_id=user.immutable_id, **link_values)
    return EndUserState(id=end_user_id, fields=fields, link=link)


GONE = Presence.GONE
SOFT = Presence.SOFT_DELETED
