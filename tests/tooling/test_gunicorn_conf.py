"""The web server starts the scheduler in its one process, and stops it in the right order."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(*arguments: object, home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.tooling.gunicorn_trial", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_sigterm_tells_the_scheduler_first_then_finishes_requests_then_waits_for_it(tmp_path: Path) -> None:
    port = free_port()
    server = start(port, home=tmp_path)
    try:
        assert server.stdout.readline() == "start trial\n"
        answers: list[bytes] = []
        client = threading.Thread(
            target=lambda: answers.append(urllib.request.urlopen(f"http://127.0.0.1:{port}/slow", timeout=20).read())
        )
        client.start()
        assert server.stdout.readline() == "asked\n"
        server.terminate()
        out, errors = server.communicate(timeout=30)
        client.join(timeout=20)
    finally:
        server.kill()
        server.wait()
    assert out.splitlines() == ["stop 0.0", "answered", "stop 10.0"]
    assert answers == [b"done"]
    assert server.returncode == 0, errors
    assert list(tmp_path.iterdir()) == []  # no control socket in the home folder


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux only")
def test_G4_after_kill_9_nothing_lives_on_and_the_port_is_free(tmp_path: Path) -> None:
    port = free_port()
    server = start(port, home=tmp_path)
    assert server.stdout.readline() == "start trial\n"
    server.kill()
    server.communicate(timeout=30)  # ends when the last process that holds the pipe is gone
    again = start(port, home=tmp_path)
    try:
        assert again.stdout.readline() == "start trial\n"
    finally:
        again.terminate()
        _, errors = again.communicate(timeout=30)
    assert "in use" not in errors


@pytest.mark.parametrize("workers", [0, 2])
def test_more_or_fewer_than_one_web_process_is_refused(tmp_path: Path, workers: int) -> None:
    server = start(free_port(), workers, home=tmp_path)
    out, errors = server.communicate(timeout=30)
    assert server.returncode != 0
    assert "Rollcall runs as one web process" in errors
    assert "start" not in out
