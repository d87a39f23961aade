"""Passwords: argon2id, with a rule that fits on one line."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_LENGTH = 10
MAX_LENGTH = 512

_hasher = PasswordHasher()
# Verified against when there is no such account, so that the time taken tells nobody which addresses exist.
# Written out: to make it takes a tenth of a second, at each start of each command.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$f45PGQ0tSyvSEfbQ6VtKig$A+g+3cNsd052AF4Y2ab+qh+TX+egP0MhSVPp6byuqQk"


def problem_with(password: str) -> str | None:
    """The sentence to show for a password that cannot be used; None when it can."""
    if len(password) < MIN_LENGTH:
        return f"Use at least {MIN_LENGTH} characters. A few unrelated words make a good password."
    if len(password) > MAX_LENGTH:
        return f"Use at most {MAX_LENGTH} characters."
    if len(set(password)) < 4:
        return "Use a less regular password."
    return None


def hash_password(password: str) -> str:
    """The argon2id hash to store."""
    return _hasher.hash(password)


def verify(stored: str | None, password: str) -> bool:
    """True when ``password`` is the one behind ``stored``. Takes as long when there is none."""
    try:
        return _hasher.verify(stored or _NOBODY, password[:MAX_LENGTH]) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(stored: str) -> bool:
    """True when the hash was made with weaker parameters than today's and ought to be made anew."""
    return _hasher.check_needs_rehash(stored)
