"""Runs one sync and dies at the n-th commit boundary, or at the n-th SQL statement: ``python -m tests.sync.crash_child``."""

import json
import os
import signal
import sys

import sqlalchemy as sa
from sqlalchemy.orm import sessionmaker

from portal.engine.apply import chunks
from portal.extensions import tune_engine
from tests.sync import scenario


def main(path, kind, boundary, statement):
    chunks.CHUNK = 12
    engine = tune_engine(sa.create_engine(f"sqlite:///{path}"))
    world = scenario.reopen(sessionmaker(engine, expire_on_commit=False), kind)
    passed = {"commits": 0, "statements": 0}

    def at_commit(_label):
        passed["commits"] += 1
        if passed["commits"] == boundary:
            os.kill(os.getpid(), signal.SIGKILL)

    def at_statement(*_args):
        passed["statements"] += 1
        if passed["statements"] == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    # Before the database hears of a commit, and after it: what is lost with the process is the answer.
    sa.event.listen(engine, "commit", at_commit)
    world.watch_commits(lambda: at_commit(None))
    sa.event.listen(engine, "before_cursor_execute", at_statement)
    world.work()
    print(json.dumps(passed))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
