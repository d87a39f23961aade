"""Health for machines: ``/healthz``, ``/readyz``, ``/metrics`` (O3)."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError

from portal.extensions import db
from portal.http import access
from portal.operations import metrics, schema
from portal.runtime import runtime
from portal.worker import attendance

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@access.public
def healthz() -> Response:
    """Say that the process is up. Touches nothing."""
    return jsonify(status="ok")


@bp.get("/readyz")
@access.public
def readyz() -> tuple[Response, int]:
    """200 if the database answers, its schema is the newest, and a worker is there; 503 and the reason otherwise."""
    is_distributed = runtime().settings.scheduler == "distributed"
    workers: dict[str, int] = {}
    try:
        problem = schema.pending(db.engine, needs_jobs=is_distributed)
        if problem is None and is_distributed:
            attending = attendance.look(db.session())
            workers, problem = {"workers": attending.workers}, metrics.abandoned(attending)
    except SQLAlchemyError as error:
        problem = f"The database does not answer: {type(error).__name__}. Check ROLLCALL_DATABASE_URL and the server."
    if problem is None:
        return jsonify(status="ready", **workers), 200
    return jsonify(status="not ready", detail=problem, **workers), 503


@bp.get("/metrics")
@access.public
def show_metrics() -> Response:
    """Prometheus text: counts only, no names."""
    return Response(
        metrics.render(db.session(), runtime().settings.scheduler), content_type=CONTENT_TYPE_LATEST
    )
