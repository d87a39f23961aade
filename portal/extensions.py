"""Extensions, unbound: the composition root binds them."""

from __future__ import annotations

from flask_login import LoginManager
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect

from portal.models import Base
from portal.transactions import SessionFactory, begin_write, mark_write, tune_engine, writing

__all__ = ["SessionFactory", "begin_write", "csrf", "db", "login", "mark_write", "tune_engine", "writing"]

db = SQLAlchemy(metadata=Base.metadata)
csrf = CSRFProtect()  # type: ignore[no-untyped-call]
login = LoginManager()
