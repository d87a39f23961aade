"""Settings: the first page, and About: version, database, queue and scheduler (O3)."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from flask import url_for
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from portal.extensions import db
from portal.http import responses
from portal.http.access import may, requires
from portal.models import ACTIVE, Role, SyncRun
from portal.runtime import runtime
from portal.settings.routes.blueprint import bp, page


@bp.get("")
@requires(Role.READ_ONLY)
def index() -> Response:
    """Settings begin with the Microsoft connection (P10), and for whom it is not, with About: everybody may see that."""
    return responses.respond(redirect=url_for(".microsoft" if may(Role.ADMINISTRATOR) else ".about"))


@bp.get("/about")
@requires(Role.READ_ONLY)
def about() -> Response:
    """Version, database, queue and scheduler (O3)."""
    waiting = db.session.scalar(select(func.count()).select_from(SyncRun).where(SyncRun.status.in_(ACTIVE)))
    settings = runtime().settings
    return page(
        "about",
        None,
        version=_version(),
        database="SQLite" if settings.is_sqlite else "PostgreSQL",
        scheduler=settings.scheduler,
        interval=settings.sync_interval_minutes,
        waiting=waiting or 0,
    )


def _version() -> str:
    try:
        return version("rollcall")
    except PackageNotFoundError:
        return "from source"
