"""The web server starts the scheduler in its one process, waits for no slow client, and stops in the right order."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MANY = 40  # more than the server has threads


class Trial:
    """The server as a process; ``port`` is where it listens."""

    def __init__(self, *constants: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.tooling.server_trial", *constants],
            cwd=ROOT,
            env={**os.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.port = int(self.line())
        assert self.line() == "start trial"

    def line(self) -> str:
        return self.process.stdout.readline().rstrip("\n")

    def connect(self, sent: bytes = b"") -> socket.socket:
        found = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        found.sendall(sent)
        return found

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return answer.read()


@pytest.fixture
def start() -> Iterator[Callable[..., Trial]]:
    trials: list[Trial] = []

    def begin(*constants: str) -> Trial:
        trials.append(Trial(*constants))
        return trials[-1]

    yield begin
    for trial in trials:
        trial.process.kill()
        trial.process.communicate()


def test_sigterm_tells_the_scheduler_first_then_finishes_requests_then_waits_for_it(start) -> None:
    trial = start()
    answers: list[bytes] = []
    client = threading.Thread(target=lambda: answers.append(trial.get("/slow")))
    client.start()
    assert trial.line() == "asked"
    trial.process.terminate()
    out, errors = trial.process.communicate(timeout=60)
    client.join(timeout=20)
    assert out.splitlines() == ["stop 0.0", "answered", "stop 10.0"]
    assert [len(answer) for answer in answers] == [2_000_000], "the whole answer was sent, however long it is"
    assert trial.process.returncode == 0, errors


def test_a_connection_without_a_request_does_not_hold_the_end_up(start) -> None:
    trial = start()
    with trial.connect(b"GET /healthz HTTP/1.1\r\n"), trial.connect():
        trial.get("/healthz")
        trial.process.terminate()
        out, errors = trial.process.communicate(timeout=60)
    assert (out.splitlines(), trial.process.returncode) == (["stop 0.0", "stop 10.0"], 0), errors


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Sl",
        b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf",
        b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha",
    ],
    ids=["nothing", "half-headers", "half-body", "half-chunk"],
)
def test_half_requests_keep_nobody_waiting(start, half) -> None:
    trial = start()
    held = [trial.connect(half) for _ in range(MANY)]
    try:
        assert trial.get("/healthz") == b"ok"
    finally:
        for one in held:
            one.close()


@pytest.mark.parametrize(
    "half",
    [b"", b"GET /healthz HTTP/1.1\r\nX-Sl", b"POST /length HTTP/1.1\r\nContent-Length: 1000\r\n\r\nhalf"],
    ids=["nothing", "half-headers", "half-body"],
)
def test_a_connection_that_sends_too_slowly_is_ended(start, half) -> None:
    trial = start("HEADER_SECONDS=1", "BODY_SECONDS=1", "IDLE_SECONDS=1")
    with trial.connect(half) as slow:
        assert slow.recv(100) == b""


def test_one_byte_now_and_then_does_not_keep_a_connection_open(start) -> None:
    trial = start("HEADER_SECONDS=1")
    with trial.connect(b"GET / HTTP/1.1\r\nX-Slow: ") as slow:
        slow.settimeout(0.1)
        for _ in range(300):
            try:
                slow.sendall(b"x")
                if slow.recv(100) == b"":
                    return
            except TimeoutError:
                continue
            except OSError:
                return
    raise AssertionError("it was still open after half a minute of single bytes")


def test_a_client_that_takes_nothing_of_its_answer_holds_no_thread(start) -> None:
    trial = start()
    held = [trial.connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * 3) for _ in range(MANY)]
    try:
        assert trial.get("/healthz") == b"ok"
    finally:
        for one in held:
            one.close()


def test_a_chunked_body_arrives_whole(start) -> None:
    trial = start()
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with trial.connect(
        b"POST /length HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    ) as client:
        client.sendall(piece * 20 + b"0\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(1000), b""))
    assert answer.endswith(str(20 * 0x10000).encode())


@pytest.mark.skipif(sys.platform != "linux", reason="SIGKILL")
def test_G4_after_kill_9_nothing_lives_on_and_the_port_is_free(start) -> None:
    trial = start()
    trial.process.kill()
    trial.process.communicate(timeout=30)  # ends when the last process that holds the pipe is gone
    with pytest.raises(ConnectionRefusedError):
        trial.connect()
