"""The only composition root: everything is joined here and nowhere else."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from flask import Flask, current_app, g, request
from flask.typing import ResponseReturnValue
from sqlalchemy import Engine
from sqlalchemy.orm import sessionmaker

from portal import api, audit
from portal.auth.signed_in import init_login
from portal.config import Settings, load
from portal.crypto import SecretBox
from portal.engine import people_version
from portal.extensions import csrf, db
from portal.graph.clouds import CLOUDS
from portal.http import access, frame, request_body
from portal.http.decision_words import decision_words
from portal.http.proxies import behind_proxies
from portal.http.throttle import limiter
from portal.locks import is_lost_race
from portal.microsoft import gateway
from portal.operations import choices
from portal.operations.liveness import ask_when_idle
from portal.runtime import Runtime
from portal.transactions import (
    JSON_COLUMNS,
    REQUEST_PATIENCE,
    WORK_PATIENCE,
    close,
    connection_arguments,
    forget_writing,
    set_patience,
    tune_engine,
    writing,
)

ROOT = Path(__file__).resolve().parent.parent

# One blueprint per feature: ``portal.<feature>.routes.bp``. The order is the order of the menu.
FEATURES = (
    "auth",
    "microsoft_sign_in",
    "dashboard",
    "organizations",
    "tenants",
    "microsoft",
    "end_users",
    "people",
    "assets",
    "imports",
    "user_sync",
    "filter_templates",
    "rollouts",
    "runs",
    "holds",
    "conflicts",
    "coverage",
    "recovery",
    "exceptions",
    "search",
    "settings",
    "alerts",
    "operations",
    "help",
)

WEB_CONNECTIONS, EMBEDDED_CONNECTIONS, KEPT_CONNECTIONS = 16, 40, 4
"""The most connections to PostgreSQL of a process that serves pages, of one that syncs too, and how many stay open when idle."""


class Portal(Flask):
    """The WSGI app. A request that lost a race is made once more: it then answers to what the other one wrote.

    Nothing of the first try is left, since its transaction was refused as a whole. An upload cannot be read twice.
    """

    def dispatch_request(self) -> ResponseReturnValue:
        """Call the view of the present request."""
        try:
            return super().dispatch_request()
        except Exception as error:
            if not is_lost_race(error) or request.files:
                raise
            self.logger.info("action=once_more endpoint=%s", request.endpoint)
            db.session.rollback()
            _begin_writing()
        return super().dispatch_request()


def build(settings: Settings | None = None, *, worker_connections: int | None = None) -> Flask:
    """Build the WSGI app. Raises ConfigError for settings that cannot be used. Starts nothing.

    worker_connections: the most that a worker's threads use of PostgreSQL at once; None for a process that serves pages.
    """
    settings = settings or load()
    choices.check(settings)
    keys = settings.secret_keys()
    settings.keep_data_dir()
    app = Portal("portal", root_path=str(ROOT), template_folder="templates", static_folder="static")
    _configure(app, settings, keys[0], worker_connections)
    app.before_request(_begin)  # first: no transaction may be open while a body arrives
    db.init_app(app)
    csrf.init_app(app)  # type: ignore[no-untyped-call]
    limiter.init_app(app)
    with app.app_context():
        engine = tune_engine(db.engine, is_pooled=settings.is_pooled)
        forget_writing(db.session.session_factory)
    if worker_connections is not None:
        ask_when_idle(engine)
    sessions = sessionmaker(engine, expire_on_commit=False)
    people_version.watch()
    if settings.scheduler == "distributed":
        _distribute(engine)
    app.extensions["rollcall"] = Runtime(settings=settings, sessions=sessions, box=SecretBox(keys))
    gateway.start_afresh(sessions)
    app.teardown_request(_end)
    app.teardown_appcontext(_end_reading)  # registered after the one of ``db``, so called before it
    init_login(app)
    sign_in_urls = {cloud.login_url for cloud in CLOUDS.values()} | ({settings.login_url} - {""})
    frame.init_web(app, sign_in_urls=frozenset(sign_in_urls))
    for feature in FEATURES:
        app.register_blueprint(importlib.import_module(f"portal.{feature}.routes").bp)
    api.register(app, csrf)
    app.before_request(lambda: access.enforce(app))
    app.before_request(request_body.refuse_nul)
    app.before_request(_begin_writing)
    app.jinja_env.globals.update(may=access.may, decision_words=decision_words)
    app.wsgi_app = behind_proxies(app.wsgi_app, settings.proxy_count)  # type: ignore[method-assign, assignment]
    return app


def _configure(app: Flask, settings: Settings, key: str, worker_connections: int | None) -> None:
    app.config.update(
        # The present key alone: one that was replaced may be easy to guess, and opens stored secrets only.
        SECRET_KEY=key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=_engine_options(settings, worker_connections),
        SESSION_COOKIE_NAME="rollcall",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.is_https,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_CHECK_DEFAULT=True,
        WTF_CSRF_SSL_STRICT=True,
        MAX_CONTENT_LENGTH=request_body.MOST_BYTES,
        MAX_FORM_PARTS=request_body.MOST_FIELDS,
        MAX_FORM_MEMORY_SIZE=request_body.MOST_FORM_BYTES,
    )


def _distribute(engine: Engine) -> None:
    """What is queued gets a job in the same transaction. Only here is Procrastinate imported: it is an extra."""
    from portal.worker import dispatch, distributed

    dispatch.use(engine, distributed.enqueue)


def _engine_options(settings: Settings, worker_connections: int | None) -> dict[str, Any]:
    # A statement that fails goes to the log; its parameters are people's names and addresses, or sealed secrets.
    options: dict[str, Any] = {"hide_parameters": True, **JSON_COLUMNS, "pool_timeout": 10}
    if settings.is_sqlite:
        # The last one given back first: its pages are the ones in its cache, and caches of others stay small.
        return {**options, "pool_size": 20, "max_overflow": 20, "pool_use_lifo": True}
    most = worker_connections or (
        WEB_CONNECTIONS if settings.scheduler == "distributed" else EMBEDDED_CONNECTIONS
    )
    arguments = connection_arguments("portal" if worker_connections is None else "worker")
    if settings.is_pooled:
        arguments["prepare_threshold"] = None
    return {
        **options,
        "pool_size": KEPT_CONNECTIONS,
        "max_overflow": most - KEPT_CONNECTIONS,
        "pool_pre_ping": worker_connections is None,
        "connect_args": arguments,
    }


def _begin() -> None:
    """Receive the whole body before anything is asked of the database."""
    g.principal = None
    set_patience(REQUEST_PATIENCE)
    request_body.receive()


def _begin_writing() -> None:
    """What was read to know who asks is over; what comes now writes, unless its view begins as a reader.

    SQLite then waits for its turn at the view's first query, instead of failing at its first write.
    """
    view = current_app.view_functions.get(request.endpoint or "")
    if request.method in {"GET", "HEAD", "OPTIONS"} or getattr(view, "reads_first", False):
        return
    db.session.rollback()
    writing.set(True)


def _end(_error: BaseException | None) -> None:
    request_body.release()
    writing.set(False)
    set_patience(WORK_PATIENCE)
    audit.set_actor(audit.SYNC)


def _end_reading(_error: BaseException | None) -> None:
    """The answer is there: a connection that breaks when its transaction ends takes nothing from it."""
    if db.session.registry.has():
        close(db.session())
