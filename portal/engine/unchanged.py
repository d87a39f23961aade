"""Ends a run whose input equals that of the last complete run: nothing is decided, so nothing is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, case, exists, func, update
from sqlalchemy.orm import Session

from portal.engine.records import Phase
from portal.models import SyncRun, UserSync
from portal.models.user_sync import is_notable

LASTING = ("left", "group_gone")
"""What goes on needing attention: nothing has changed about it either."""

# Built once: such a run is mostly its statements.
_END = (
    update(SyncRun.__table__)  # type: ignore[arg-type]
    .where(
        SyncRun.id == bindparam("run"),
        exists().where(
            UserSync.organization_id == SyncRun.organization_id,
            UserSync.enabled.is_(True),
            UserSync.generation == bindparam("switched"),
        ),
    )
    .values(
        {
            SyncRun.status: bindparam("new_status"),
            SyncRun.phase: Phase.DONE.value,
            SyncRun.done: bindparam("read"),
            SyncRun.total: bindparam("read"),
            SyncRun.counts: bindparam("new_counts"),
            SyncRun.warnings: bindparam("new_warnings"),
            SyncRun.finished_at: bindparam("now"),
            SyncRun.is_notable: bindparam("notable"),
        }
    )
)
_LASTS = UserSync.attention_code.in_(LASTING)
_PUT_RIGHT = (
    update(UserSync.__table__)  # type: ignore[arg-type]
    .where(UserSync.organization_id == bindparam("organization"))
    .values(
        {
            UserSync.failures_in_row: 0,
            UserSync.initial_done_at: func.coalesce(UserSync.initial_done_at, bindparam("now")),
            UserSync.attention: case((_LASTS, UserSync.attention), else_=None),
            UserSync.attention_code: case((_LASTS, UserSync.attention_code), else_=""),
        }
    )
)


@dataclass(frozen=True)
class Unchanged:
    """A run that ended so, as it is reported (``run_state.FinishedRun``)."""

    id: str
    organization_id: str
    generation: int
    trigger: str
    counts: Mapping[str, int]
    status: str = "succeeded"


def end(session: Session, run: Unchanged, warnings: list[str], now: datetime) -> bool:
    """Write the end of ``run``. Returns False, and writes nothing, if its sync was switched meanwhile (L5)."""
    values = {
        "run": run.id,
        "switched": run.generation,
        "new_status": run.status,
        "new_counts": dict(run.counts),
        "new_warnings": warnings,
        "read": run.counts.get("read", 0),
        "now": now,
        "notable": is_notable(run.trigger, "sync", run.status, run.counts),
    }
    return session.connection().execute(_END, values).rowcount == 1


def is_right(sync: UserSync) -> bool:
    """Whether a sync says already what it says after a run that found nothing changed."""
    is_quiet = sync.attention_code in LASTING or (not sync.attention_code and sync.attention is None)
    return sync.failures_in_row == 0 and sync.initial_done_at is not None and is_quiet


def put_right(session: Session, organization_id: str, now: datetime) -> None:
    """Say that a sync works (G2)."""
    session.connection().execute(_PUT_RIGHT, {"organization": organization_id, "now": now})
