"""G2: a sync or a tenant that fails is tried ever more rarely, and at once when it works again."""

from sqlalchemy import event

from portal.clock import utcnow
from portal.errors import NeedsAdmin, SourcePermissionMissing
from portal.microsoft import check
from portal.microsoft import service as microsoft
from portal.models import MicrosoftTenant, UserSync
from portal.worker import queue
from tests.sync.queued_work import promised, ready, tick
from tests.sync.world import write_session
from tests.unit.engine.builders import only


def test_G2_a_sync_that_keeps_failing_is_tried_ever_more_rarely_and_at_once_when_the_connection_was_checked(
    world,
):
    """Its tenant can be read, its group cannot: other syncs of the tenant keep their hour."""
    ready(world)
    world.directory.group("g1", "u01")
    world.enable(only(group=["g1"]), initial_done_at=world.now)
    world.directory.group_errors["g1"] = SourcePermissionMissing("An application permission is missing.")
    for _ in range(3):
        assert world.sync().status == "failed"
    assert world.tenant().failures_in_row == 0 and world.user_sync().attention

    def tries(hours):
        found = 0
        for _ in range(hours):
            world.now = world.tenant().next_run_at
            if tick(world):
                found += 1
                world.worker().run_tenant(world.tenant_id, "me")
        return found

    assert (tries(24), tries(24), tries(24)) == (3, 1, 1), "2, 4, 8, 16 hours, then daily"
    assert tick(world) == 0
    shown = promised(world)
    assert shown > world.tenant().next_run_at, (
        "the turn at which it is tried again is shown, not the tenant's next"
    )
    while not tick(world):
        assert world.now < shown and promised(world) == shown
        world.now = world.tenant().next_run_at
    assert world.now == shown
    world.worker().run_tenant(world.tenant_id, "me")
    with world.sessions() as session:
        session.get_one(MicrosoftTenant, world.tenant_id).failures_in_row = 1
        session.flush()
        sync = session.query(UserSync).one()
        tenant = session.get_one(MicrosoftTenant, world.tenant_id)
        assert queue.next_turn(session, sync, tenant, 60) == tenant.next_run_at, (
            "the tenant's own back-off holds"
        )
    with write_session(world.sessions) as session:
        microsoft.mark_working(session, session.get_one(MicrosoftTenant, world.tenant_id))
        session.commit()
    world.now = max(world.now, utcnow())
    assert tick(world) == 1
    world.directory.group_errors.clear()
    world.worker().run_tenant(world.tenant_id, "me")
    assert (world.user_sync().failures_in_row, world.user_sync().attention) == (0, None)


def check_line(name, state="ok"):
    return {"name": name, "state": state, "detail": "", "permission": ""}


def test_G2_C4_only_a_check_that_could_read_people_puts_a_connection_right(world):
    """Not one for which there is no app registration, nor one that Microsoft answered with errors."""
    ready(world)
    fine = [check_line(name) for name in sorted(check.CORE)]
    failing = [check_line("Token"), check_line("People", "error")]
    with write_session(world.sessions) as session:
        row = session.get_one(MicrosoftTenant, world.tenant_id)
        for report, state, failures in (
            (check.unregistered(NeedsAdmin("Enter the app registration.")), "needs_attention", 4),
            (check.Report(tuple(failing)), "needs_attention", 4),
            (check.Report(tuple(fine)), "connected", 0),
            (check.Report(tuple(failing)), "connected", 4),
        ):
            if report.problem is None:
                row.state = "needs_attention" if state == "needs_attention" or failures == 0 else "connected"
            row.failures_in_row = 4
            check.save(session, row, report)
            assert (row.state, row.failures_in_row) == (state, failures)
        check.save(session, row, check.unregistered(NeedsAdmin("Enter the app registration.")))
        assert (row.checks[0]["state"], row.problem) == ("error", "Enter the app registration.")
        session.rollback()


def test_G2_a_read_that_worked_locks_the_tenant_before_its_syncs_as_a_check_does(world):
    """On PostgreSQL the other order lets a check and a run wait for each other, until one of them is killed."""
    ready(world)
    world.directory.fail_page = 1
    for _ in range(4):
        world.sync()
    world.directory.fail_page = None
    written = []

    def note(_connection, _cursor, statement, *_rest):
        if statement.startswith("UPDATE"):
            written.append(statement.split()[1])

    engine = world.sessions.kw["bind"]
    event.listen(engine, "before_cursor_execute", note)
    event.listen(engine, "commit", lambda _connection: written.append("commit"))
    world.sync()
    forgiven = next(n for n, table in enumerate(written) if table == "user_syncs")
    assert written[forgiven - 1] == "microsoft_tenants"


def test_G2_a_tenant_that_can_be_read_again_brings_all_its_syncs_back(world):
    ready(world)
    world.directory.fail_page = 1
    for _ in range(6):
        world.sync()
    assert world.user_sync().failures_in_row == world.tenant().failures_in_row == 6
    with write_session(world.sessions) as session:
        session.get_one(MicrosoftTenant, world.tenant_id).read_requested_at = world.now  # somebody else's
        session.commit()
    world.directory.fail_page = None
    world.worker().run_tenant(world.tenant_id, "me")
    world.now = world.tenant().next_run_at
    assert tick(world) == 1


def test_U5_a_read_asked_for_while_another_goes_on_follows_it(world):
    def ask():
        with write_session(world.sessions) as session:
            session.get_one(MicrosoftTenant, world.tenant_id).read_requested_at = utcnow()
            session.commit()

    def groups():
        if world.directory.reads.count("delta") + world.directory.reads.count("full") == before + 1:
            ask()
        return []

    ready(world)
    before = len([read for read in world.directory.reads if read in {"full", "delta"}])
    ask()
    world.directory.group("g9")  # the list is read again
    world.directory.groups = groups
    world.worker().run_tenant(world.tenant_id, "me")
    reads = [read for read in world.directory.reads if read in {"full", "delta"}]
    assert (len(reads) - before, world.tenant().read_requested_at) == (2, None)
