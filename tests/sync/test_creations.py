"""Those who are created get rows straight from the mirror's: what decisions made one by one say, for whatever Microsoft holds."""

import random

from sqlalchemy import select

from portal.engine.plan import decide
from portal.engine.records import Assignment, FilterSpec, Kind, Reason
from portal.engine.snapshot import load_people
from portal.models import EndUser
from portal.models.customers import search_columns

TEXTS = (
    "",
    "Ann",
    "  Zoë\u00a0 Straße ",
    "x" * 300,
    "a\nb",
    "İ ﬃ",
    "=1+1",
    "\u200b",
    "ann@x.example",
    "J" * 90,
)
PROPERTIES = (
    "displayName",
    "givenName",
    "surname",
    "department",
    "officeLocation",
    "jobTitle",
    "streetAddress",
    "city",
    "state",
    "postalCode",
    "country",
    "mobilePhone",
)


def somebody(chance, number):
    skus = chance.sample(("B", "a", "c"), chance.randint(0, 3))
    return {
        **{name: chance.choice(TEXTS) for name in PROPERTIES},
        "id": f"u{number:03}",
        "mail": chance.choice((f"U{number}@x.example", f"ü{number}@müller.example")),
        "userPrincipalName": chance.choice(("", f"u{number}@x.example")),
        "businessPhones": chance.choice(([], ["+31 20 1"], ["", "2"])),
        "accountEnabled": chance.choice((True, False, None)),
        "assignedLicenses": [{"skuId": sku} for sku in skus],
        "onPremisesImmutableId": chance.choice(("", "im==")),
    }


def test_W3_rows_of_creations_are_what_their_decisions_say(world):
    chance = random.Random(1)
    world.directory.page_size = 100
    world.directory.put(*(somebody(chance, number) for number in range(250)))
    world.enable(FilterSpec(add_disabled_accounts=True))
    run = world.sync("initial")
    assert run.counts["created"] == 250
    told = world.changes(run.id)
    with world.sessions() as session:
        made = {row.object_id: row for row in session.scalars(select(EndUser))}
        people = load_people(session, world.tenant_id, sorted(made))
        decisions = {object_id: decided(person) for object_id, person in people.items()}
        for object_id, decision in decisions.items():
            row, record = made[object_id], told[object_id]
            columns = {**decision.columns, **search_columns(decision.columns)}
            assert {name: stored(getattr(row, name)) for name in columns} == columns
            assert record.fields == [change._asdict() for change in decision.changes]
            assert (record.decision, record.reason) == (decision.action, decision.reason)
            assert (record.display_name, record.end_user_id) == (row.display_name, row.id)
            assert (row.source, row.edited_at, row.linked_by_run_id) == ("sync", None, run.id)


def decided(person):
    creation = Assignment(
        person.object_id,
        Kind.CREATE,
        Reason.NEW_IN_SCOPE,
        person.email_key,
        sets_disabled=person.account_enabled is False,
    )
    return decide(creation, person, None)


def stored(value):
    return list(value) if isinstance(value, tuple) else value
