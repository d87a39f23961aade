"""Structured logs (O3): one line per event on standard error, ``key=value`` pairs or JSON; counts, not people.

Messages of ours are written as pairs (``action=queue runs=3``); those of libraries come as ``event="..."``.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict

PAIR = re.compile(r"(\w+)=(\S*)")
DETAIL = re.compile(r"^DETAIL:.*$", re.MULTILINE)
FIRST = ["time", "level", "logger", "action", "event"]


def configure(stream: TextIO | None = None, form: Literal["text", "json"] = "text") -> None:
    """Send the portal's records from info on, and those of libraries from warnings on, to ``stream`` (standard error).

    form: ``text`` is pairs, ``json`` an object per line (ROLLCALL_LOG_FORMAT). To be called once in a process that serves;
    again, it replaces what it set.
    """
    render: structlog.typing.Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if form == "text":
        render = structlog.processors.LogfmtRenderer(key_order=FIRST, drop_missing=True)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.set_name("rollcall")
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _take_pairs,
                _leave_out_details,
                render,
            ],
        )
    )
    root = logging.getLogger()
    for present in [present for present in root.handlers if present.get_name() == handler.get_name()]:
        root.removeHandler(present)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("portal").setLevel(logging.INFO)


def _take_pairs(_logger: object, _method: str, event: EventDict) -> EventDict:
    text = str(event.get("event", ""))
    if text.startswith("action="):
        del event["event"]
        event.update(PAIR.findall(text))
    return event


def _leave_out_details(_logger: object, _method: str, event: EventDict) -> EventDict:
    """PostgreSQL repeats the offending values, people's addresses among them, in the DETAIL of its errors."""
    if "exception" in event:
        event["exception"] = DETAIL.sub("DETAIL: left out", event["exception"])
    return event
