"""What every test may ask for. Fixtures of one folder live in that folder's own conftest.py."""

import gc
import os
import re
import socket
import sys

import pytest
from argon2 import PasswordHasher

from portal.auth import passwords
from portal.http import refusals

IS_ADDRESS = re.compile(r"[0-9.]+$|\[?[0-9a-fA-F:]+(%\w+)?\]?$")
pytest_plugins = ["tests.postgres", "tests.templates", "tests.write_guard"]

# Containers like to forbid it: each worker, and each process that a test starts, would compile everything anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_finish() -> None:
    """What was imported stays: looking through it again and again for garbage takes a tenth of all time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def no_afterthoughts():
    """A minute after a test its portal is gone: what was only counted by then is recorded with ``Refusals.flush``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refusals, "_later", lambda delay, call: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_name_server():
    """The tests know this machine alone: any other name is one that nobody can look up now."""
    look_up = socket.getaddrinfo

    def of_this_machine(host, *given, **named):
        if host in {None, "", "localhost", b"localhost"} or IS_ADDRESS.match(str(host)):
            return look_up(host, *given, **named)
        raise socket.gaierror(socket.EAI_AGAIN, "there is no name server for tests")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", of_this_machine)
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_hashes():
    """Passwords are hashed as always, though in a thousandth of the time (test_passwords.py holds the real strength)."""
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", quick)
        patch.setattr(passwords, "_NOBODY", quick.hash("nobody's"))
        yield
