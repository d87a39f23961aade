"""Twice at once: what happens once, or is counted, does so too when twenty threads ask at the same moment (both databases)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyotp
import pytest
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import func, select

from portal import create_app
from portal.api import tokens
from portal.auth import authenticator, first_administrator, links, passwords, service
from portal.clock import utcnow
from portal.config import Settings
from portal.errors import Invalid, Refused
from portal.extensions import begin_write, db
from portal.models import Account, ApiToken, AuditEvent, Role
from portal.runtime import runtime

TIMES = 20
PASSWORD = "correct horse battery staple"
ANN = "ann@rollcall.example"


@pytest.fixture
def app(any_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """A portal whose hashes are quick, and which sends nobody away: that is tested elsewhere."""
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", quick)
    monkeypatch.setattr(passwords, "_NOBODY", quick.hash("nobody's"))
    monkeypatch.setattr(passwords, "gate", passwords.Gate(4, 100))
    monkeypatch.setattr(passwords, "PATIENCE", 60.0)
    found = create_app(
        Settings(data_dir=tmp_path, database_url=any_database, secret_key="k" * 40, scheduler="off")
    )
    found.config["WTF_CSRF_ENABLED"] = False
    with found.app_context():
        db.create_all()
    yield found
    with found.app_context():
        db.session.remove()
        db.engine.dispose()


def at_once(call: Callable[[int], Any], times: int = TIMES) -> list[Any]:
    """Call with 0, 1, 2, … from as many threads, which start together."""
    start = threading.Barrier(times)

    def one(number: int) -> Any:
        start.wait(timeout=60)
        return call(number)

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


def post(app: Flask, path: str, number: int, **form: str) -> Any:
    """Post from an address of its own: the throttle is tested elsewhere."""
    return app.test_client().post(path, data=form, environ_base={"REMOTE_ADDR": f"192.0.2.{number + 1}"})


def add_ann(app: Flask) -> str:
    with app.app_context():
        account = service.add_account(
            db.session(), email=ANN, role=Role.ADMINISTRATOR, now=utcnow(), password=PASSWORD
        )
        db.session.commit()
        return account.id


def number_of(app: Flask, action: str) -> int:
    with app.app_context():
        return int(
            db.session.scalar(select(func.count()).select_from(AuditEvent).where(AuditEvent.action == action))
            or 0
        )


@pytest.mark.parametrize("email", [ANN, "nobody@rollcall.example"])
def test_wrong_passwords_raise_the_lock_after_five_whoever_is_guessed_at(app: Flask, email: str) -> None:
    add_ann(app)
    pages = at_once(
        lambda n: post(app, "/login", n, email=email, password="a guess, one of many").text, times=45
    )
    assert sum("password is not correct" in page for page in pages) == 5
    assert sum("Too many attempts" in page for page in pages) == 40
    assert (number_of(app, "sign_in_failed"), number_of(app, "sign_in_locked")) == (5, 1)
    assert "Too many attempts" in post(app, "/login", 99, email=email, password=PASSWORD).text


def test_the_right_password_among_many_wrong_ones_gets_in_only_before_the_lock(app: Flask) -> None:
    add_ann(app)
    for _ in range(4):
        post(app, "/login", 99, email=ANN, password="a guess, one of many")
    answers = at_once(
        lambda n: post(app, "/login", n, email=ANN, password=PASSWORD if n == 7 else "a guess, one of many")
    )
    in_time = answers[7].status_code == 303
    wrong = sum("password is not correct" in one.text for one in answers)
    assert 1 <= wrong <= (6 if in_time else 1)


def test_one_code_signs_in_once(app: Flask) -> None:
    account_id, secret = add_ann(app), pyotp.random_base32()
    with app.app_context():
        account = service.locked_account(db.session(), account_id)
        assert account is not None
        sealed = runtime().box.encrypt(secret, purpose=f"totp:{account_id}")
        account.totp_secret, account.totp_last_step = sealed, 0
        db.session.commit()
    code = pyotp.TOTP(secret).at(utcnow())
    answers = at_once(lambda n: post(app, "/login", n, email=ANN, password=PASSWORD, code=code).status_code)
    assert sorted(answers) == [303, *[422] * (TIMES - 1)]
    assert number_of(app, "signed_in") == 1


@pytest.mark.parametrize("email", ["ben@rollcall.example", ANN])
def test_one_link_is_used_once(app: Flask, email: str) -> None:
    add_ann(app)
    with app.app_context():
        link = links.invite(db.session(), email=email, role="technician", now=utcnow(), by="test")
        db.session.commit()
    answers = at_once(
        lambda n: (
            post(
                app, f"/invitations/{link.token}", n, name="", password=f"{n} unrelated words together"
            ).status_code
        )
    )
    assert sorted(answers) == [303, *[404] * (TIMES - 1)]
    assert number_of(app, "invitation_used") == 1


def test_the_first_run_makes_one_administrator(app: Flask) -> None:
    with app.app_context():
        token = first_administrator.new_setup_token(db.session(), utcnow())
        db.session.commit()
    at_once(
        lambda n: post(app, "/setup", n, token=token, email=f"admin{n}@rollcall.example", password=PASSWORD)
    )
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Account)) == 1
    assert number_of(app, "account_added") == 1


def made(app: Flask, make: Callable[[], object], refusal: type[Exception]) -> bool:
    with app.app_context():
        begin_write(db.session())
        try:
            make()
            db.session.commit()
        except refusal:
            db.session.rollback()
            return False
        return True


def test_a_token_name_and_an_address_are_taken_once(app: Flask) -> None:
    assert sum(at_once(lambda _: made(app, lambda: tokens.create("ci", "read-only"), Invalid))) == 1

    def add() -> None:
        service.add_account(db.session(), email=ANN, role="technician", now=utcnow(), password=PASSWORD)

    assert sum(at_once(lambda _: made(app, add, Refused))) == 1
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(ApiToken)) == 1
    assert (number_of(app, "token_created"), number_of(app, "account_added")) == (1, 1)


def test_one_authenticator_is_set_up_of_many(app: Flask) -> None:
    """The second of two that begin together finds the first one's, and is refused."""
    account_id = add_ann(app)
    secrets = [pyotp.random_base32() for _ in range(TIMES)]
    now = utcnow()

    def enable(number: int) -> bool:
        def change() -> None:
            account = service.locked_account(db.session(), account_id)
            assert account is not None
            code = pyotp.TOTP(secrets[number]).at(now)
            authenticator.enable(db.session(), account, secrets[number], code, now=now, box=runtime().box)

        return made(app, change, Refused)

    assert sum(at_once(enable)) == 1
