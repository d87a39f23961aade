"""Passwords: argon2id, at most two at once, and what is too easily guessed is refused.

How easily, zxcvbn estimates: it knows common passwords, words, names, dates, keyboard walks and repetitions, as a list or
a rule about kinds of characters would not. It is kept (and typed) on PyPI and asks nobody on the network.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from portal.errors import Invalid, RetryLater
from portal.operations.computing import slots

MIN_LENGTH = 10
MAX_LENGTH = 512
GOOD_SCORE = 3
"""Of zxcvbn's 0 to 4: from 10^8 guesses on."""
ESTIMATED_LENGTH = 72
"""So many characters zxcvbn looks at: more would take it seconds, and what begins well is good enough."""

AT_ONCE = 2
"""Hashes that run at the same time: each takes 64 MB and a whole core for a tenth of a second."""
LINE = 6
"""Threads that may wait for one; the server's others answer everybody else."""
PATIENCE = 3.0
"""Seconds that each waits."""

_hasher = PasswordHasher()
# Verified against when there is no such account, so that the time taken tells nobody which addresses exist.
# Written out: to make it takes a tenth of a second, at each start of each command.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$f45PGQ0tSyvSEfbQ6VtKig$A+g+3cNsd052AF4Y2ab+qh+TX+egP0MhSVPp6byuqQk"


class Gate:
    """Lets ``at_once`` threads through and ``line`` more wait; whoever comes then, or waits too long, is sent away."""

    def __init__(self, at_once: int, line: int) -> None:
        self._inside = threading.BoundedSemaphore(at_once)
        self._places = threading.BoundedSemaphore(at_once + line)

    @contextmanager
    def passed(self, patience: float) -> Iterator[None]:
        """Enter the gate within the block. Raises RetryLater."""
        if not self._places.acquire(blocking=False):
            raise self._too_many()
        try:
            if not self._inside.acquire(timeout=patience):
                raise self._too_many()
            try:
                yield
            finally:
                self._inside.release()
        finally:
            self._places.release()

    @staticmethod
    def _too_many() -> RetryLater:
        return RetryLater("Too many people sign in at this moment. Try again in a few seconds.", seconds=5)


gate = Gate(AT_ONCE, LINE)


def problem_with(password: str, *, email: str = "", name: str = "") -> str | None:
    """The sentence to show for a password that cannot be used; None when it can.

    email, name: whose it is to be: what others know of a person makes no password.
    """
    if len(password) < MIN_LENGTH:
        return f"Use at least {MIN_LENGTH} characters. A few unrelated words make a good password."
    if len(password) > MAX_LENGTH:
        return f"Use at most {MAX_LENGTH} characters."
    personal = [
        word for word in ("rollcall", email, *re.split(r"[\W_]+", f"{email} {name}")) if len(word) > 2
    ]
    rest = re.sub(
        "|".join(map(re.escape, sorted(personal, key=len, reverse=True))), "", password, flags=re.IGNORECASE
    )
    if min(_score(password, personal), _score(rest, personal)) < GOOD_SCORE:
        return "This password is easily guessed. Use a few unrelated words, and not your name or address."
    return None


def check(password: str, *, email: str = "", name: str = "", field: str = "password") -> None:
    """Raise Invalid on ``field`` for a password that cannot be used (``problem_with``)."""
    problem = problem_with(password, email=email, name=name)
    if problem is not None:
        raise Invalid({field: [problem]})


def hash_password(password: str) -> str:
    """The argon2id hash to store. Call it outside any write transaction. Raises RetryLater when too many wait."""
    with slots.lent(), gate.passed(PATIENCE):
        return _hasher.hash(password)


def verify(stored: str | None, password: str) -> bool:
    """True when ``password`` is the one behind ``stored``. Takes as long when there is none.

    Call it outside any write transaction. Raises RetryLater when too many wait.
    """
    with slots.lent(), gate.passed(PATIENCE):
        try:
            return _hasher.verify(stored or _NOBODY, password[:MAX_LENGTH]) and stored is not None
        except (VerificationError, InvalidHashError):
            return False


def is_outdated(stored: str) -> bool:
    """True if the hash was made with weaker parameters than today's and should be replaced."""
    return _hasher.check_needs_rehash(stored)


def _score(password: str, personal: list[str]) -> int:
    from zxcvbn import zxcvbn  # its lists take a twentieth of a second, which no other command needs

    return int(zxcvbn(password[:ESTIMATED_LENGTH], user_inputs=personal)["score"]) if password else 0
