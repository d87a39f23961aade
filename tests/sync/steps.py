"""What tests of runs do again and again: a tenant with people, a first sync, a hold that is applied."""

from portal.engine.holds import apply_held as apply_ready
from portal.engine.holds import prepare_held
from portal.engine.records import FilterSpec
from tests.sync.directory import account


def apply_held(session, run, actor, now, object_ids=None):
    return apply_ready(session, run, prepare_held(session, run, now, object_ids), actor, now)


def check_sums(counts):
    """G8: the counts add up."""
    decided = counts.created + counts.linked + counts.updated + counts.unchanged + counts.disabled
    decided += counts.enabled + counts.conflicts + counts.held
    return (
        counts.read == counts.in_scope + counts.out_of_scope + counts.skipped and counts.in_scope == decided
    )


def staff(number, **values):
    return [account(f"u{n:02}", **values) for n in range(number)]


def started(world, number=12, spec=FilterSpec()):
    world.directory.put(*staff(number))
    world.enable(spec)
    run = world.sync("initial")
    assert run.status == "succeeded", run.error
    return run
