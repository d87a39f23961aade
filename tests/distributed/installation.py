"""An installation of many processes on one PostgreSQL and one simulated Microsoft, all on loopback, for tests and the trial.

Nothing sleeps for a fixed time: whoever waits asks for a state, with a deadline.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import requests
import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.cli.app import main
from portal.clock import utcnow
from portal.crypto import hash_token
from portal.models import ApiToken, Base
from portal.operations import schema
from simulator.server import SimulatorServer
from tests.postgres import PostgresServer
from tests.system.conftest import Api, wait_until

LOADED = multiprocessing.get_context("forkserver")
"""Forks processes from one that has imported the portal already: that takes a process of its own most of its start."""
LOADED.set_forkserver_preload(["portal.cli.app", "portal.worker.distributed_worker"])
ROOT = Path(__file__).resolve().parents[2]


class Http:
    """What ``Api`` needs of a client, over a real connection. 503 and refused connections are asked again while PostgreSQL restarts."""

    application = None

    def __init__(self, base: str, answers: list[tuple[str, int]]) -> None:
        self.base, self._answers = base, answers
        self._session = requests.Session()
        self._session.trust_env = False

    def open(self, path: str, *, method: str, json: Any, headers: dict[str, str]) -> Any:
        def ask() -> Any:
            answer = self._session.request(
                method, f"{self.base}{path}", json=json, headers=headers, timeout=60
            )
            self._answers.append((f"{method} {path}", answer.status_code))
            if answer.status_code == 503 and "Retry-After" not in answer.headers:
                raise AssertionError(f"503 without Retry-After: {path}")
            return None if answer.status_code == 503 else (answer,)  # a refusal counts as false to `if`

        (answer,) = wait_until(ask, f"{method} {path} answers", 120)
        answer.get_json = lambda silent=False: answer.json() if answer.content else None
        return answer


class Process:
    """One of ours, running a program that takes its arguments from ``sys.argv``. Its log is a file."""

    def __init__(
        self, program: Callable[[], None], arguments: list[str], environment: dict[str, str], log: Path
    ) -> None:
        self.log = log
        self._process = LOADED.Process(target=become, args=(program, arguments, environment, log))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(self.is_stopped, "the process is stopped")

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self.wait(30)

    def end(self, seconds: float = 60) -> int:
        self._process.terminate()
        return self.wait(seconds)

    def wait(self, seconds: float) -> int:
        self._process.join(seconds)
        assert self._process.exitcode is not None, f"it does not end: {self.log.read_text()}"
        return self._process.exitcode

    def is_stopped(self) -> bool:
        """True while SIGSTOP holds it. Raises ProcessLookupError once it has ended."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError as error:
            raise ProcessLookupError from error
        if state in "ZX":
            raise ProcessLookupError
        return state == "T"

    def lives(self) -> bool:
        return self._process.is_alive()

    def close(self) -> None:
        with suppress(ProcessLookupError):
            self.go_on()
        self.kill()


def become(program: Callable[[], None], arguments: list[str], environment: dict[str, str], log: Path) -> None:
    """What a process does that was forked for a program: as if it had been called so."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["rollcall", *arguments]
    program()


class Installation:
    """``web()`` and ``worker()`` start processes; ``api`` talks to the first web process. ``answers``: every status that was seen."""

    def __init__(
        self,
        stack: ExitStack,
        simulator: SimulatorServer,
        server: PostgresServer,
        url: str,
        folder: Path,
        **environment: str,
    ) -> None:
        self._stack, self.server, self.url, self.folder = stack, server, url, folder
        self.simulator = simulator
        self.answers: list[tuple[str, int]] = []
        self.processes: list[Process] = []
        self.bases: list[str] = []
        self.environment = {
            **os.environ,
            "ROLLCALL_DATA_DIR": str(folder),
            "ROLLCALL_DATABASE_URL": url,
            "ROLLCALL_SECRET_KEY": "a secret key, long enough, for tests only",
            "ROLLCALL_SCHEDULER": "distributed",
            "MICROSOFT_CLIENT_ID": simulator.client_id,
            "MICROSOFT_CLIENT_SECRET": simulator.client_secret,
            "MICROSOFT_LOGIN_URL": simulator.base_url,
            "MICROSOFT_GRAPH_URL": simulator.base_url,
            "REQUESTS_CA_BUNDLE": simulator.ca_file,
            **environment,
        }
        self.token = ""

    def start(self, webs: int = 1, workers: int = 0) -> Installation:
        """Start processes, the first web process before all others: it makes tables that are missing."""
        for _ in range(webs):
            self.web()
        for _ in range(workers):
            self.worker()
        return self

    def web(self) -> Process:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        base = f"http://127.0.0.1:{port}"
        process = self.run("serve", "--port", str(port))
        wait_until(lambda: self.ready(base) is not None or not process.lives(), "the portal listens", 120)
        assert process.lives(), process.log.read_text()
        self.bases.append(base)
        if not self.token:
            self.token = "the-token"
            given = {"role": "administrator", "token_hash": hash_token(self.token), "created_at": utcnow()}
            self.add(ApiToken(name="system", **given))
        return process

    def add(self, row: Base) -> None:
        """Add a row: in a tenth of the time that a command takes."""
        engine = sa.create_engine(self.url)
        with Session(engine) as session:
            session.add(row)
            session.commit()
        engine.dispose()

    def worker(self, *arguments: str, **environment: str) -> Process:
        return self.run("worker", *arguments, **environment)

    def run(self, *arguments: str, program: Callable[[], None] = main, **environment: str) -> Process:
        log = self.folder / f"{len(self.processes):03}-{arguments[0]}.log"
        process = Process(program, list(arguments), {**self.environment, **environment}, log)
        self.processes.append(process)
        self._stack.callback(process.close)
        return process

    def command(self, *arguments: str) -> str:
        """What a command says that succeeds."""
        process = self.run(*arguments)
        assert process.wait(120) == 0, process.log.read_text()
        return process.log.read_text()

    @property
    def api(self) -> Api:
        return self.api_at(0)

    def api_at(self, number: int) -> Api:
        return Api(Http(self.bases[number], self.answers), self.token)  # type: ignore[arg-type]

    def ready(self, base: str | None = None) -> tuple[int, dict[str, Any]] | None:
        """What ``/readyz`` says; None while nobody listens."""
        try:
            answer = requests.get(f"{base or self.bases[0]}/readyz", timeout=20)
        except requests.RequestException:
            return None
        return answer.status_code, answer.json()

    # -- PostgreSQL itself

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask the database directly; waits while it restarts."""

        def ask() -> Any:
            try:
                with psycopg.connect(
                    self.url.replace("+psycopg", ""), autocommit=True, options="-c statement_timeout=60000"
                ) as connection:
                    found = connection.execute(statement, values)  # type: ignore[arg-type]
                    return (found.fetchall() if found.description else [],)
            except psycopg.OperationalError:
                return None

        return wait_until(ask, "PostgreSQL answers", 60)[0]  # type: ignore[no-any-return]

    def restart(self, mode: str = "fast") -> None:
        """Restart the server, as ``pg_ctl restart`` does."""
        data = self.server.home / "data"
        number = int((data / "postmaster.pid").read_text().split()[0])
        program = Path(f"/proc/{number}/exe").resolve().parent / "pg_ctl"
        owner = data.stat()
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            as_user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
        subprocess.run(
            [
                program,
                "restart",
                f"--pgdata={data}",
                "--wait",
                f"--mode={mode}",
                f"--log={self.server.home / 'log'}",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            timeout=60,
            **as_user,
        )

    def holders(self) -> list[int]:
        """Backends that are in a transaction and ask nothing, beside this one."""
        return [
            number
            for (number,) in self.sql(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
            )
        ]


def migrate(url: str) -> None:
    """What the first web process would do, once for all installations of a session."""
    engine = sa.create_engine(url)
    schema.upgrade(engine)
    engine.dispose()


@contextmanager
def installed(
    simulator: SimulatorServer,
    server: PostgresServer | None,
    folder: Path,
    url: str | None = None,
    **environment: str,
) -> Iterator[Installation]:
    """An installation on ``url``, or a database of its own with all tables. Its processes all end with the block."""
    database = url or server.create_database(template="installation", build=migrate)
    with ExitStack() as stack:
        yield Installation(stack, simulator, server, database, folder, **environment)
