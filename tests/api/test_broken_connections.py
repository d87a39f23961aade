"""Which errors of a database pass, and a connection that breaks once the answer is there."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from portal.extensions import db
from portal.transactions import trouble


def error(kind, **facts):
    found = kind("x")
    for name, value in facts.items():
        setattr(found, name, value)
    return found


class Psycopg(psycopg.OperationalError):
    sqlstate = None


@pytest.mark.parametrize(
    ("orig", "seconds"),
    [
        (error(sqlite3.OperationalError, sqlite_errorcode=sqlite3.SQLITE_BUSY), 5),
        (error(sqlite3.OperationalError, sqlite_errorcode=517), 5),  # SQLITE_BUSY_SNAPSHOT
        (error(sqlite3.OperationalError, sqlite_errorcode=sqlite3.SQLITE_FULL), 30),
        (
            error(sqlite3.OperationalError, sqlite_errorcode=sqlite3.SQLITE_ERROR),
            None,
        ),  # no such table: ours to mend
        (error(Psycopg, sqlstate="55P03"), 5),
        (error(Psycopg, sqlstate="40P01"), None),
        (error(Psycopg, sqlstate=None), 30),
        (error(Psycopg, sqlstate="57P01"), 30),
        (error(Psycopg, sqlstate="53300"), 30),
        (error(Psycopg, sqlstate="42P01"), None),
    ],
)
def test_which_errors_of_a_database_pass(orig, seconds):
    later = trouble(OperationalError("x", {}, orig))
    assert (later and later.seconds) == seconds


def test_which_other_errors_pass():
    assert trouble(PoolTimeout()).seconds == 5
    assert trouble(InterfaceError("x", {}, Psycopg("closed"))).seconds == 30
    assert trouble(ValueError()) is None


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_connection_that_breaks_once_the_answer_is_there_takes_nothing_from_it(app, api):
    @app.after_request
    def break_connection(answer):
        backend = db.session.scalar(sa.text("SELECT pg_backend_pid()"))
        with db.engine.connect() as other:
            other.execute(sa.text("SELECT pg_terminate_backend(:backend, 5000)"), {"backend": backend})
        return answer

    assert api("POST", "/organizations", {"name": "Reef"})[0] == 201
    assert api("GET", "/organizations")[1]["total"] == 1
