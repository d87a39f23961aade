"""Random worlds: people of Microsoft, End Users, filters, exceptions, settlements. Small ones crowd few addresses and ids."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from portal.engine.records import (
    D1_FIELDS,
    EndUserState,
    FilterSpec,
    HoldRule,
    LinkState,
    NeverSync,
    Presence,
    RemoteUser,
    SectionFilter,
)
from portal.text import email_key
from tests.unit.engine.builders import hashed, linked, person, remote, same

_PRESENCES = [Presence.PRESENT] * 8 + [Presence.GONE, Presence.SOFT_DELETED]
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """What ``planned`` takes, and who is dismissed, by object id."""

    users: list[RemoteUser]
    people: list[EndUserState]
    options: dict = field(default_factory=dict)
    rule: HoldRule = HoldRule()
    is_initial: bool = False
    dismissed: frozenset[str] = frozenset()


def small(random, ids=7, addresses=6):
    """A crowd of people about few addresses."""
    pool = [f"{chr(97 + n)}@{'xy'[n % 2]}.example" for n in range(addresses)]
    chance = random.choice([0.1, 0.3, 0.6])
    return _world(random, [f"u{n}" for n in range(random.randint(1, ids))], pool, chance)


def big(random, number=2000):
    """A whole Organization: chains and rings of people who pass addresses on, and a few of everything else."""
    ids = [f"u{n:05}" for n in range(number)]
    pool = [f"p{n:05}@{'xy'[n % 2]}.example" for n in range(int(number * 1.1))]
    return _world(random, ids, pool, 0.02, rings=True)


def _world(random, ids, pool, chance, *, rings=False):
    def rarely(value, otherwise):
        return value if random.random() < chance else otherwise

    spare = list(pool)
    random.shuffle(spare)
    users = []
    for number, object_id in enumerate(ids):
        own = spare[number] if rings else random.choice(pool)
        email = rarely(random.choice(["", own.upper(), random.choice(pool)]), own)
        aliases = random.sample(pool, random.randint(0, 2)) if random.random() < max(chance, 0.2) else []
        users.append(
            remote(
                object_id,
                email,
                display_name=random.choice(["Ann", "Bo", ""]),
                user_principal_name=random.choice([f"{object_id}@x.example", ""]),
                city=random.choice(["", "Delft"]),
                department=rarely(random.choice(["IT", ""]), "Sales"),
                aliases=tuple(a for a in aliases if a != email_key(email)),
                account_enabled=rarely(random.choice([False, None]), True),
                created_at=random.choice([None, _LONG_AGO + timedelta(days=random.randint(0, 3))]),
                presence=random.choice(_PRESENCES),
                license_sku_ids=random.choice([(), ("sku",), ("a", "b")]),
                immutable_id=rarely(
                    random.choice(["im1", "im2"]) if len(ids) < 50 else f"im{random.randint(0, 99)}", ""
                ),
                problem=rarely(random.choice(["", "", "broken"]), ""),
                is_agent=rarely(random.random() < 0.2, False),
            )
        )
    users = [hashed(user) for user in users]
    people = _people(random, users, pool, chance, rings=rings)
    return World(
        users,
        people,
        _options(random, users, people, pool, chance),
        HoldRule(random.choice([0, 10, 50]), random.randint(1, 4), random.randint(1, 4))
        if random.random() < 0.5
        else HoldRule(),
        random.random() < 0.3,
        frozenset(u.object_id for u in users if random.random() < chance / 4),
    )


def _people(random, users, pool, chance, *, rings):
    """Some linked and up to date, some linked and behind, some shifted by one place, some not linked, some of another tenant."""
    found, used = [], set()
    targets = [u for u in users if random.random() < 0.8]
    shift = random.choice([0, 1, len(targets) // 2]) if rings else 0
    for number, user in enumerate(targets):
        email = (
            targets[(number + shift) % len(targets)].email
            if random.random() > chance
            else random.choice(["", *pool])
        )
        if email_key(email) in used:
            email = ""
        used |= {email_key(email)} - {""}
        pinned = (
            {"email"} if random.random() < chance / 3 else {"city"} if random.random() < chance / 3 else set()
        )
        end_user_id = f"e{number}"
        link = {
            "is_disabled": random.random() < chance / 2,
            "is_in_scope": random.random() > chance / 2,
        }
        if random.random() < 0.4 and email == user.email:
            found.append(same(user, end_user_id, pinned=pinned, **link))
            continue
        values = {"display_name": "Ann", "city": random.choice(["", "Ours", "Delft"])}
        kind = random.random()
        if kind < chance:
            found.append(person(end_user_id, email, pinned=pinned, **values))
            continue
        link |= {
            "immutable_id": user.immutable_id,
            "user_principal_name": random.choice(["", user.user_principal_name]),
            "license_sku_ids": random.choice([(), user.license_sku_ids]),
            "written": {
                name: random.choice([values.get(name, ""), "else"])
                for name in D1_FIELDS
                if random.random() < 0.3
            },
        }
        if kind > 1 - chance / 2:
            target = linked(f"f{number}", is_foreign=True, **link)
            target = replace(target, microsoft_tenant_id="other")
        elif kind > 1 - chance:
            target = linked(f"lost{number}", **link)
        else:
            target = LinkState(user.object_id, "mt", **link)
        found.append(person(end_user_id, email, link=target, pinned=pinned, **values))
    return found


def _options(random, users, people, pool, chance):
    def some(values, share):
        return frozenset(value for value in values if value and random.random() < share)

    gone = [u for u in users if u.presence is not Presence.PRESENT]
    spec = FilterSpec(
        add_disabled_accounts=random.random() < 0.5,
        only_licensed=random.random() < 0.2,
        include_agents=random.random() < 0.2,
    )
    groups = {}
    if random.random() < 0.3:
        spec = replace(spec, department=SectionFilter(False, ("SALES", random.choice(["", "Sales"]))))
    if random.random() < 0.1:
        spec = replace(spec, domain=SectionFilter(False, ("x.example",)))
    if random.random() < 0.1:
        spec = replace(spec, group=SectionFilter(False, random.choice([("g",), ("g", ""), ("h",)])))
        groups = {u.object_id: frozenset({"g"}) for u in users if random.random() < 0.8}
    ids = [state.id for state in people]
    settled = {u.object_id: random.choice(ids) for u in users if ids and random.random() < chance / 2}
    return {
        "filters": spec,
        "groups_of": groups,
        "deleted_groups": some(["h"], 0.5),
        "is_complete": random.random() < 0.8,
        "never_sync": NeverSync(
            some([u.object_id for u in users], chance / 3),
            some([u.immutable_id for u in gone], chance),
            some([email_key(u.email) for u in gone], chance),
        ),
        "settled_links": settled,
    }
