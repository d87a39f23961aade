"""The only composition root: everything is joined here and nowhere else."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from flask import Flask, current_app, g, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import sessionmaker
from werkzeug.middleware.proxy_fix import ProxyFix

from portal import access, audit, people_version, web
from portal.auth.signed_in import init_login
from portal.config import Settings, load
from portal.crypto import SecretBox
from portal.extensions import JSON_COLUMNS, csrf, db, tune_engine, writing
from portal.locks import is_lost_race
from portal.microsoft import gateway
from portal.runtime import Runtime
from portal.throttle import limiter

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
    "assets",
    "imports",
    "user_sync",
    "runs",
    "coverage",
    "recovery",
    "exceptions",
    "search",
    "settings",
    "health",
)


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
        return super().dispatch_request()


def build(settings: Settings | None = None) -> Flask:
    """Build the WSGI app. Raises ConfigError for settings that cannot be used. Starts nothing."""
    settings = settings or load()
    keys = settings.signing_keys()
    settings.keep_data_dir()
    app = Portal("portal", root_path=str(ROOT), template_folder="templates", static_folder="static")
    app.config.update(
        SECRET_KEY=keys[0],
        SECRET_KEY_FALLBACKS=keys[1:],
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        # A statement that fails goes to the log; its parameters are people's names and addresses, or sealed secrets.
        SQLALCHEMY_ENGINE_OPTIONS={"hide_parameters": True, **JSON_COLUMNS}
        | ({} if settings.is_sqlite else {"pool_pre_ping": True, "pool_size": 20}),
        SESSION_COOKIE_NAME="rollcall",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.base_url.startswith("https://"),
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_CHECK_DEFAULT=True,
        WTF_CSRF_SSL_STRICT=True,
        MAX_CONTENT_LENGTH=32 * 1024 * 1024,
        MAX_FORM_PARTS=20_000,
        MAX_FORM_MEMORY_SIZE=4 * 1024 * 1024,
    )
    db.init_app(app)
    csrf.init_app(app)  # type: ignore[no-untyped-call]
    limiter.init_app(app)
    with app.app_context():
        engine = tune_engine(db.engine)
    sessions = sessionmaker(engine, expire_on_commit=False)
    people_version.watch()
    app.extensions["rollcall"] = Runtime(settings=settings, sessions=sessions, box=SecretBox(keys))
    gateway.start_afresh(sessions)
    app.before_request(_begin_write)
    app.teardown_request(_end_write)
    init_login(app)
    web.init_web(app)
    for feature in FEATURES:
        name = f"portal.{feature}.routes"
        if importlib.util.find_spec(f"portal.{feature}") and importlib.util.find_spec(name):
            app.register_blueprint(importlib.import_module(name).bp)
    if importlib.util.find_spec("portal.api"):
        importlib.import_module("portal.api").register(app, csrf)
    app.before_request(lambda: access.enforce(app))
    app.jinja_env.globals["may"] = access.may
    if settings.base_url:
        # Behind a proxy that says who the client is; without a public URL nobody is trusted to say that.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)  # type: ignore[method-assign]
    return app


def _begin_write() -> None:
    """Begin the transactions of writing requests as such: SQLite then waits for its turn instead of failing."""
    g.principal = None
    view = current_app.view_functions.get(request.endpoint or "")
    writes = request.method in {"POST", "PUT", "PATCH", "DELETE"} or getattr(view, "writes", False)
    writing.set(writes and not getattr(view, "reads_first", False))


def _end_write(_error: BaseException | None) -> None:
    writing.set(False)
    audit.set_actor(audit.SYNC)
