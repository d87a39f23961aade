"""Planned on the keys of those in question, everything comes out as planned on the keys of all: over random worlds, in both databases."""

import random as random_module
from dataclasses import replace
from operator import attrgetter

import pytest
import sqlalchemy as sa

from portal.engine.bulk import insert_rows
from portal.engine.in_question import MOST_VALUES, in_question
from portal.engine.mirror.columns import NAMES, row_of
from portal.engine.organization_context import OrganizationContext
from portal.engine.plan import hold_key, hold_kind, plan
from portal.engine.records import (
    D1_FIELDS,
    FilterSpec,
    HoldRule,
    Kind,
    NeverSync,
    Presence,
    RemoteUser,
    SectionFilter,
)
from portal.extensions import mark_write
from portal.models import (
    DirectoryGroup,
    DirectoryUser,
    EndUser,
    GroupMembership,
    MicrosoftTenant,
    Organization,
    Tenant,
)
from portal.models.customers import no_link, search_columns
from tests.sync.directory import account
from tests.sync.world import START
from tests.unit.engine import worlds
from tests.unit.engine.builders import NO_HOLDS, applied, hashed, linked, only, person, planned, remote, same

SMALL, BIG = 120, 1  # worlds; many more were looked at once


@pytest.fixture
def stored(sessions):
    """Stores a world and gives its session and context; nothing of it stays."""
    with mark_write(sessions()) as session:
        yield lambda world: (session, store(session, world))
        session.rollback()


def store(session, world):
    """The world as it is when a run begins to decide, under a tenant and an Organization of its own."""
    number = store.number = getattr(store, "number", 0) + 1
    tenant_id, organization_id, other_id = (
        f"tenant {number}",
        f"organization {number}",
        f"{'ox'[number % 2]} {number}",
    )
    for directory in (tenant_id, other_id):
        session.add(
            MicrosoftTenant(id=directory, directory_id=directory, name="Fabrikam", connected_at=START)
        )
    session.flush()
    session.add(Tenant(id=organization_id, name="Reef", microsoft_tenant_id=tenant_id, created_at=START))
    session.flush()
    session.add(
        Organization(
            id=organization_id,
            name="Reef",
            name_key=organization_id,
            tenant_id=organization_id,
            created_at=START,
        )
    )
    session.flush()
    insert_rows(session, DirectoryUser, [mirrored(user, tenant_id) for user in world.users])
    people = [end_user(state, organization_id, tenant_id, other_id) for state in world.people]
    insert_rows(session, EndUser, people)
    _store_groups(session, world, tenant_id)
    if len(people) > 500 and session.get_bind().dialect.name == "postgresql":
        # As PostgreSQL does by itself after a minute: it would go through all people for each of them.
        session.execute(sa.text("ANALYZE directory_users, end_users"))
    options = world.options
    return OrganizationContext(
        organization_id=organization_id,
        microsoft_tenant_id=tenant_id,
        is_complete=options["is_complete"],
        filters=options["filters"],
        hold=world.rule,
        people_version=0,
        state="",
        pins={f"{organization_id} {s.id}": tuple(sorted(s.pinned)) for s in world.people if s.pinned},
        never_sync=options["never_sync"],
        ignored_conflicts=options.get("ignored_conflicts", frozenset()),
        settled_links={u: f"{organization_id} {e}" for u, e in options["settled_links"].items()},
        dismissed=frozenset(),
        is_initial=world.is_initial,
    )


def _store_groups(session, world, tenant_id):
    for group in "gh":
        gone = group in world.options["deleted_groups"]
        session.add(DirectoryGroup(microsoft_tenant_id=tenant_id, object_id=group, is_deleted=gone))
    session.flush()
    members = [
        {"microsoft_tenant_id": tenant_id, "group_object_id": group, "user_object_id": user}
        for user, groups in world.options["groups_of"].items()
        for group in groups
    ]
    insert_rows(session, GroupMembership, members)


def mirrored(user, tenant_id):
    columns = dict(zip(NAMES, row_of(attrgetter(*RemoteUser.__match_args__)(user)), strict=True))
    found = {**columns, "content_hash": hashed(user).content_hash, "presence": user.presence.value}
    return {
        **found,
        "microsoft_tenant_id": tenant_id,
        "is_agent": user.is_agent,
        "raw": "",
        "row_hash": "",
        "version": 1,
        "mfa_methods": [],
    }


def end_user(state, organization_id, tenant_id, other_id):
    link = no_link()
    if state.link is not None:
        link |= {
            "microsoft_tenant_id": other_id if state.link.is_foreign else tenant_id,
            "object_id": state.link.object_id,
            "microsoft_status": "disabled" if state.link.is_disabled else "active",
            "in_scope": state.link.is_in_scope,
            "immutable_id": state.link.immutable_id,
            "applied_hash": state.link.applied_hash,
        }
    fields = {name: state.fields[name] for name in D1_FIELDS}
    own = {
        "id": f"{organization_id} {state.id}",
        "organization_id": organization_id,
        "notes": "",
        "source": "manual",
    }
    return {**fields, **search_columns(fields), **link, **own, "created_at": START, "updated_at": START}


def compare(session, context, random):
    """Plan on the whole and on the part, as an hourly run does and for one person; gives the part."""
    whole, part = context.snapshot(session), in_question(session, context)
    whole = replace(whole, people=tuple(whole.people))
    rule = {"is_initial": context.is_initial, "rule": context.hold}
    expected = plan(whole, **rule)
    assert plan(part, **rule) == expected
    dismissed = frozenset(hold_key(a) for a in expected.assignments if hold_kind(a) and random.random() < 0.3)
    assert plan(part, **rule, dismissed=dismissed) == plan(whole, **rule, dismissed=dismissed)
    if whole.people:
        one = random.choice(whole.people).object_id
        asked = in_question(session, context, [one])
        assert plan(asked, **rule, always={one}) == plan(whole, **rule, always={one})
    return part


def changed(random, world):
    """A world that a run left as it should be, and what may happen to it until the next one."""
    free = planned(world.users, world.people, rule=NO_HOLDS, is_initial=world.is_initial, **world.options)
    people = {state.id: state for state in applied(free, world.users, world.people)}
    users = {user.object_id: user for user in world.users}
    options = dict(world.options)
    pool = sorted({u.email for u in world.users if u.email}) or ["a@x.example"]
    share = random.choice([0.01, 0.1, 0.3])
    for object_id, user in list(users.items()):
        if random.random() < share:
            users[object_id] = hashed(replace(user, content_hash="", **_happening(random, pool)))
            if random.random() < 0.1:
                del users[object_id]
    for number in range(random.randint(0, 2)):
        users[f"new{number}"] = hashed(
            remote(f"new{number}", random.choice(pool), aliases=(random.choice(pool),))
        )
    for end_user_id, state in list(people.items()):
        if random.random() < share / 2:
            _edit(random, people, end_user_id, state)
    if random.random() < 0.2:
        options["groups_of"] = {u: frozenset({"g"}) for u in users if random.random() < 0.7}
    if random.random() < 0.1:
        spec = options["filters"]
        options["filters"] = replace(
            spec, user_type=SectionFilter(False, (random.choice(["member", "Guest"]),))
        )
    return replace(world, users=list(users.values()), people=list(people.values()), options=options)


def _happening(random, pool):
    return random.choice(
        [
            {"email": random.choice(pool)},
            {"email": "", "aliases": (random.choice(pool),)},
            {"account_enabled": random.choice([True, False, None])},
            {"presence": random.choice(list(Presence))},
            {"department": random.choice(["IT", "Sales", ""])},
            {"user_type": random.choice(["Guest", "guest ", "Member", "Else"])},
            {"aliases": (random.choice(pool),)},
            {"display_name": "Renamed", "problem": random.choice(["", "broken"])},
            {"is_agent": True},
        ]
    )


def _edit(random, people, end_user_id, state):
    """What a person may do to an End User: delete it, unlink it, change it; a bulk statement leaves ``applied_hash`` as it is."""
    kind = random.choice(["delete", "unlink", "edit", "move", "add"])
    if kind == "delete":
        del people[end_user_id]
    elif kind == "unlink":
        people[end_user_id] = replace(state, link=None)
    elif kind == "edit":
        link = state.link and replace(state.link, applied_hash="")
        people[end_user_id] = replace(state, fields={**state.fields, "display_name": "Ours"}, link=link)
    elif kind == "move":
        people[end_user_id] = replace(
            state, fields={**state.fields, "email": f"moved{end_user_id}@x.example"}
        )
    else:
        taken = {s.email_key for s in people.values()}
        added = f"added{end_user_id}@x.example"
        if added not in taken:
            people[f"added {end_user_id}"] = person(
                f"added {end_user_id}", added, link=linked(f"lost {end_user_id}")
            )


def every_world(stored, make, number):
    for seed in range(number):
        random = random_module.Random(seed)
        world = make(random)
        session, context = stored(world)
        try:
            compare(session, context, random)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error


def test_any_world(stored):
    every_world(stored, worlds.small, SMALL)


def test_a_world_that_was_settled_and_changed_since(stored):
    every_world(stored, lambda random: changed(random, worlds.small(random)), SMALL)


def test_whole_organizations(stored):
    every_world(stored, worlds.big, BIG)


def around(users, people, filters, **options):
    """A small world, made by hand."""
    usual = {
        "is_complete": True,
        "never_sync": NeverSync(),
        "settled_links": {},
        "groups_of": {},
        "deleted_groups": frozenset(),
    }
    return worlds.World([hashed(user) for user in users], people, {**usual, "filters": filters, **options})


@pytest.mark.parametrize(
    "other", [{"email": "b@x.example", "aliases": ("f@x.example",)}, {"email": "f@x.example"}]
)
def test_M2_somebody_outside_the_filters_has_the_alias_too(stored, other):
    users = [
        remote("u1", "a@x.example", aliases=("f@x.example",), department="Sales"),
        remote("u2", department="IT", **other),
        remote("u3", "c@x.example", department="IT"),
    ]
    session, context = stored(around(users, [person("e1", "f@x.example")], only(department=["Sales"])))
    part = compare(session, context, random_module.Random(1))
    assert part.outside == 1
    (made,) = plan(part, is_initial=False).assignments
    assert made.kind is Kind.CREATE


def test_S6_who_is_in_a_group_that_is_gone_is_in_none(stored):
    users = [remote(f"u{n}", f"u{n}@x.example") for n in range(2)]
    people = [same(hashed(user), f"e{n}") for n, user in enumerate(users)]
    gone = {"groups_of": {"u0": frozenset({"h"})}, "deleted_groups": frozenset({"h"})}
    session, context = stored(around(users, people, only(group=["h", ""]), **gone))
    part = compare(session, context, random_module.Random(1))
    assert (part.resting, [p.object_id for p in part.people]) == (1, ["u0"])


def test_an_edit_while_keys_are_read_and_very_many_values_mean_everybody(stored):
    users = [remote("u0", "u0@x.example")]
    many = tuple(f"department {n}" for n in range(MOST_VALUES + 1))
    session, context = stored(around(users, [], only(department=many)))
    assert in_question(session, context) is None
    session, context = stored(around(users, [], FilterSpec()))
    assert in_question(session, context) is not None
    assert in_question(session, replace(context, people_version=1)) is None


@pytest.mark.parametrize("seed", range(BIG))
def test_who_is_at_rest_is_not_loaded(stored, seed):
    random = random_module.Random(seed)
    world = worlds.big(random)
    plain = replace(world, rule=HoldRule(), options={**world.options, "is_complete": True})
    later = changed(random, changed(random, plain))
    session, context = stored(later)
    part = compare(session, context, random)
    assert part.resting > 0
    assert len(part.people) + part.resting + part.outside <= len(later.users)


def test_an_hour_with_changes_looks_at_those_alone(world, monkeypatch):
    world.directory.put(*[account(f"u{n}") for n in range(20)])
    world.enable()
    world.sync("initial")
    world.directory.change("u3", mail="u4@x.example")
    world.directory.change("u4", mail="u3@x.example", department="Sales")
    world.directory.drop("u5")
    monkeypatch.setattr(OrganizationContext, "snapshot", None)
    run = world.sync()
    assert run.status == "succeeded"
    assert [run.counts[name] for name in ("read", "updated", "gone", "unchanged", "in_scope")] == [
        19,
        2,
        1,
        17,
        19,
    ]
    assert world.people()["u3@x.example"][3] == "u4"
