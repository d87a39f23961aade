"""The worlds of the crash tests: the same people each time, so that any two ends can be compared."""

from sqlalchemy import select

from portal.models import MicrosoftTenant, Organization
from tests.sync.directory import Directory, account
from tests.sync.world import START, World
from tests.unit.engine.builders import only

PEOPLE = 40


def directory(kind):
    found = Directory(page_size=15)
    found.put(
        *[account(f"u{n:02}") for n in range(PEOPLE)],
        account("twin", mail="u00@x.example"),
        account("nomail", mail=None, userPrincipalName="n#EXT#@t"),
    )
    found.group("g1", "twin", "nomail", *[f"u{n:02}" for n in range(0, PEOPLE, 2)])
    if kind == "hourly":
        found.change("u01", mail="u02@x.example")
        found.change("u02", mail="u01@x.example")
        found.change("u03", accountEnabled=False)
        found.change("u04", department="Sales", displayName="Renamed")
        found.drop("u05")
        found.put(*[account(f"new{n}") for n in range(15)])
    return found


def prepare(sessions, kind):
    """A database as it is just before the run that will be killed."""
    world = World(sessions, directory("initial"))
    for n in range(0, 10, 3):
        world.person(f"Old {n}", f"u{n:02}@x.example", notes="ours")
    world.enable(only(group=["g1"]) if kind == "delayed" else only(), hold_percent=100)
    if kind == "hourly":
        world.sync("initial")
        world.queue("hourly")
    else:
        world.queue("initial", "delayed" if kind == "delayed" else "hourly")
    return world


def reopen(sessions, kind):
    """The world of a database that was prepared, after a crash or for the next process; leases have run out by then."""
    world = World.__new__(World)
    world.sessions, world.directory, world.stop = sessions, directory(kind), False
    world.commits = []
    with sessions() as session:
        world.tenant_id = session.scalars(select(MicrosoftTenant.id)).one()
        world.organization_id = session.scalars(select(Organization.id)).one()
        expires = session.scalars(select(MicrosoftTenant.lease_expires_at)).one()
    world.now = max(expires or START, START)
    return world
