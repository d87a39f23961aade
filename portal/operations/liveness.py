"""Whether a pooled connection to PostgreSQL still lives, asked only where it is in doubt.

SQLAlchemy's own ``pool_pre_ping`` asks before each transaction. A worker has thousands a minute, most of them of two or three
statements, so that asking cost as much as a third of them. One that was used a moment ago lives, or whoever uses it sees that it
does not, as with one that breaks in between (``transactions.trouble``).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError

from portal import clock

FRESH_SECONDS = 1.0
_USED_AT = "used_at"


def ask_when_idle(engine: Engine) -> None:
    """Test connections of ``engine`` that were idle for ``FRESH_SECONDS`` before they are used."""

    def given_out(connection: Any, record: Any, _proxy: Any) -> None:
        used_at = record.info.pop(_USED_AT, None)
        if used_at is None or clock.monotonic() - used_at < FRESH_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError("the connection does not live any more") from error

    def given_back(_connection: Any, record: Any) -> None:
        record.info[_USED_AT] = clock.monotonic()

    event.listen(engine, "checkout", given_out)
    event.listen(engine, "checkin", given_back)
