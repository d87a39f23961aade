"""O3: what the log looks like, and what is never in it."""

import io
import json
import logging

import pytest

from portal.operations import logs


@pytest.fixture
def written():
    root, portal = logging.getLogger(), logging.getLogger("portal")
    before = list(root.handlers), root.level, portal.level
    stream = io.StringIO()
    logs.configure(io.StringIO())
    logs.configure(stream)
    yield lambda: stream.getvalue().splitlines()
    root.handlers, root.level = before[0], before[1]
    portal.setLevel(before[2])


def test_O3_each_event_is_one_line_of_pairs(written):
    logging.getLogger("portal.engine.job").info("action=run_finished run=%s read=%d", "r1", 3)
    (line,) = written()
    assert line.startswith("time=20") and line.endswith(
        "level=info logger=portal.engine.job action=run_finished run=r1 read=3"
    )


def test_O3_libraries_are_heard_from_warnings_on(written):
    logging.getLogger("urllib3").info("a request")
    logging.getLogger("apscheduler").warning("Run time of job was missed")
    (line,) = written()
    assert 'logger=apscheduler event="Run time of job was missed"' in line


def test_O3_a_crash_is_one_line_without_the_values_that_postgresql_repeats(written):
    address = "@".join(("ann", "corp.example"))  # a traceback shows the source too
    try:
        raise ValueError(f"duplicate key\nDETAIL:  Key (email_key)=({address}) already exists.\nmore")
    except ValueError:
        logging.getLogger("portal.worker.scheduler").exception("action=failed lane=hourly")
    (line,) = written()
    assert "action=failed" in line and "duplicate key" in line and "more" in line
    assert address not in line


def test_O3_json_is_one_object_per_line_without_details_of_people():
    stream = io.StringIO()
    root, portal = logging.getLogger(), logging.getLogger("portal")
    before = list(root.handlers), root.level, portal.level
    try:
        logs.configure(stream, "json")
        logging.getLogger("portal.engine.job").info("action=run_finished run=%s read=%d", "r1", 3)
        try:
            raise ValueError(f"boom\nDETAIL: Key (email)=({'@'.join(('ann', 'x.example'))})")
        except ValueError:
            logging.getLogger("portal").exception("action=crash")
    finally:
        root.handlers, root.level = before[0], before[1]
        portal.setLevel(before[2])
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["action"], first["run"], first["level"]) == ("run_finished", "r1", "info")
    assert "boom" in second["exception"] and "ann@x.example" not in second["exception"]
