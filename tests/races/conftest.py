"""A portal on each database, and twenty callers that begin in the same moment, each with a session of its own."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from itsdangerous import URLSafeTimedSerializer

from portal import create_app
from portal.auth import sessions as auth_sessions
from portal.clock import utcnow
from portal.config import Settings
from portal.crypto import hash_token
from portal.extensions import db, mark_write
from portal.models import Account, ApiToken

TIMES = 20
RAW_TOKEN = "0" * 40


class Crowd:
    """The portal under test, and twenty at once at its doors, each signed in for itself: a shared session or token
    would be a row that they wait for one after the other."""

    def __init__(self, app: Flask, sessions: list[str]) -> None:
        self.app = app
        self.sessions = sessions
        self._csrf = URLSafeTimedSerializer(app.secret_key, salt="wtf-csrf-token").dumps(RAW_TOKEN)

    def api(self, method: str, path: str, body: Any = None, **how: Any) -> Counter[int]:
        """The same call of the API twenty times; ``body`` may be a function of the caller's number. Counts statuses."""

        def call(number: int) -> Any:
            given = body(number) if callable(body) else body
            return self.call(number, method, path, given)

        return self.statuses(call, **how)

    def call(self, number: int, method: str, path: str, body: Any = None) -> Any:
        """One call of the API with the token of that caller."""
        headers = {"Authorization": f"Bearer token-{number}"}
        return self.app.test_client().open(f"/api/v1{path}", method=method, json=body, headers=headers)

    def page(self, path: str, data: Any = None, **how: Any) -> Counter[int]:
        """The same form sent twenty times, each from a browser of its own."""
        return self.statuses(
            lambda number: self.send(number, path, data(number) if callable(data) else data), **how
        )

    def send(self, number: int, path: str, data: Any = None) -> Any:
        """One form, as that caller's browser without script sends it."""
        browser = self.app.test_client()
        with browser.session_transaction() as session:
            session["_user_id"], session["_fresh"] = self.sessions[number], True
            session["csrf_token"] = RAW_TOKEN
        return browser.post(path, data={"csrf_token": self._csrf, **(data or {})})

    def statuses(self, call: Callable[[int], Any], *, times: int = TIMES) -> Counter[int]:
        """Begin ``call`` in as many threads in the same moment. Counts the statuses; a 5xx fails the test."""
        answers = self.answers(call, times=times)
        broken = [
            f"{answer.status_code}: {answer.text[:400]}" for answer in answers if answer.status_code >= 500
        ]
        assert broken == []
        return Counter(answer.status_code for answer in answers)

    def answers(self, call: Callable[[int], Any], *, times: int = TIMES) -> list[Any]:
        """The answers of as many callers; an error of one is raised."""
        gate = threading.Barrier(times)

        def begin(number: int) -> Any:
            gate.wait(timeout=60)
            return call(number)

        with ThreadPoolExecutor(times) as pool:
            return list(pool.map(begin, range(times)))

    def build(self, make: Callable[[], Any]) -> Any:
        """Run ``make`` in one transaction that is committed, and give what it gives."""
        with self.app.app_context():
            mark_write(db.session())
            found = make()
            db.session.commit()
            return found

    def ask(self, question: Callable[[], Any]) -> Any:
        """What ``question`` reads from the database."""
        with self.app.app_context():
            return question()


@pytest.fixture(params=["sqlite", "postgresql"])
def crowd(request: pytest.FixtureRequest, tmp_path: Path, prepared: Callable[[str], str]) -> Iterator[Crowd]:
    app = create_app(_settings(tmp_path, prepared(request.param)))
    with app.app_context():
        sessions = _people()
    yield Crowd(app, sessions)
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def _settings(folder: Path, url: str) -> Settings:
    return Settings(
        data_dir=folder,
        database_url=url,
        secret_key="a secret key for tests only, long enough",
        client_id="client",
        client_secret="secret",
        scheduler="off",
    )


def _people() -> list[str]:
    mark_write(db.session())
    now, found = utcnow(), []
    for number in range(TIMES):
        email = f"ada{number}@rollcall.example"
        account = Account(email=email, name=f"Ada {number}", role="administrator", created_at=now)
        token = hash_token(f"token-{number}")
        db.session.add(account)
        db.session.add(ApiToken(name=email, role="administrator", token_hash=token, created_at=now))
        db.session.flush()
        found.append(
            auth_sessions.start_session(
                db.session(), account, now=now, ip="127.0.0.1", user_agent="test", method="password"
            )
        )
    db.session.commit()
    return found
