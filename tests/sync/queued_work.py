"""What tests of the queue put into it and look for in it."""

from portal.models import MicrosoftTenant, SyncRun, UserSync
from portal.worker import queue
from tests.sync.directory import account
from tests.sync.world import write_session


def queued(world):
    with world.sessions() as session:
        return [(run.trigger, run.lane) for run in session.query(SyncRun).filter_by(status="queued")]


def tick(world):
    with write_session(world.sessions) as session:
        number = queue.queue_due(session, world.now, 60)
        session.commit()
        return number


def waiting(world):
    with world.sessions() as session:
        return [(work.microsoft_tenant_id, work.lane) for work in queue.waiting(session, world.now)]


def promised(world):
    with world.sessions() as session:
        return queue.next_turn(
            session, session.query(UserSync).one(), session.query(MicrosoftTenant).one(), 60
        )


def ready(world):
    world.directory.put(account("u01"))
    world.enable()
    assert world.sync("initial").status == "succeeded"
