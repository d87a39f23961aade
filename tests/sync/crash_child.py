"""Runs one sync in a process of its own, which dies at the n-th commit, or at the n-th SQL statement."""

import json
import os
import signal
import warnings
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import sessionmaker

from portal.engine.apply import chunks
from portal.engine.mirror import groups
from portal.extensions import tune_engine
from tests.sync import scenario


def run(path, kind, boundary=0, statement=0):
    """Fork, run, and give (exit code, {"commits", "statements"} when it lived). Forked, since a new interpreter takes a second."""
    told = Path(f"{path}.json")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of forking beside threads: none of theirs is needed here
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            told.write_text(json.dumps(_work(path, kind, boundary, statement)))
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code, json.loads(told.read_text()) if code == 0 else None


def _work(path, kind, boundary, statement):
    chunks.CHUNK = 12
    groups.MOST_ROWS = 10
    engine = tune_engine(sa.create_engine(f"sqlite:///{path}"))
    world = scenario.reopen(sessionmaker(engine, expire_on_commit=False), kind)
    passed = {"commits": 0, "statements": 0}

    def at_commit(_connection):
        passed["commits"] += 1
        if passed["commits"] == boundary:
            os.kill(os.getpid(), signal.SIGKILL)

    def at_statement(*_args):
        passed["statements"] += 1
        if passed["statements"] == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    # Before the database hears of a commit: what is there is what the one before left.
    sa.event.listen(engine, "commit", at_commit)
    sa.event.listen(engine, "before_cursor_execute", at_statement)
    world.work()
    return passed
