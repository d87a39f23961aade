"""P10: which passwords are refused, and how many hashes run at once."""

import runpy
import threading

import pytest
from argon2 import extract_parameters, profiles

from portal.auth import passwords
from portal.auth.passwords import Gate
from portal.errors import RetryLater


@pytest.mark.parametrize(
    "password",
    [
        "1234567890",
        "password123",
        "Password1234!",
        "qwertyuiop12",
        "aaaaaaaaaaaaaa",
        "abcabcabcabc",
        "annabelle-rollcall-lee",
        "annabelle.lee",
        "Annabelle Lee 1",
        "rollcall2026",
        "short",
        "x" * 513,
    ],
)
def test_P10_what_is_easily_guessed_is_refused(password):
    assert passwords.problem_with(password, email="annabelle.lee@rollcall.example", name="Annabelle Lee")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "vier losse woorden samen",
        "kX9-vQ2mLw7!",
        "ñandú über çok şey",
        "x9" * 30 + "Quagmire under",
    ],
)
def test_P10_what_is_not_is_taken(password):
    assert passwords.problem_with(password, email="ann@rollcall.example", name="Ann") is None


def test_hashes_are_as_strong_as_advised_and_nobodys_as_all_others():
    real = runpy.run_path(passwords.__file__)  # the other tests' hashes are quick (conftest.py)
    stored = real["hash_password"]("correct horse battery staple")
    assert extract_parameters(stored) == extract_parameters(real["_NOBODY"]) == profiles.RFC_9106_LOW_MEMORY
    assert real["verify"](stored, "correct horse battery staple") and not real["verify"](None, "x")


def test_at_most_two_are_inside_and_a_few_wait():
    gate = Gate(2, 1)
    leave, inside, refused = threading.Event(), threading.Semaphore(0), []

    def stay():
        with gate.passed(patience=60):
            inside.release()
            leave.wait(60)

    threads = [threading.Thread(target=stay) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert inside.acquire(timeout=60) and inside.acquire(timeout=60)
    with pytest.raises(RetryLater) as impatient, gate.passed(patience=0.0):
        refused.append("was let in")
    waiting = threading.Thread(target=stay)
    waiting.start()
    while True:  # until the one place in the line is taken: then nobody waits at all
        try:
            with gate.passed(patience=0.01):
                refused.append("was let in")
        except RetryLater:
            pass
        if gate._places._value == 0:
            break
    with pytest.raises(RetryLater), gate.passed(patience=60):
        refused.append("was let in")
    leave.set()
    for thread in [*threads, waiting]:
        thread.join(60)
    assert impatient.value.seconds > 0 and refused == []
    with gate.passed(patience=0.0):
        assert gate._places._value == 2, "everybody gave their place back"
