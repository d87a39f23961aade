"""The command line as an operator uses it. Most tests call ``main`` in this process, which starts a hundred times faster."""

import io
import subprocess
import sys
from types import SimpleNamespace

import pytest

from portal.cli.app import main


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """Where commands find their data; nothing else is set, whatever the caller's environment says."""
    for name in (
        "MICROSOFT_CLIENT_ID",
        "MICROSOFT_CLIENT_SECRET",
        "MICROSOFT_LOGIN_URL",
        "MICROSOFT_GRAPH_URL",
        "ROLLCALL_DATABASE_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ROLLCALL_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def program(data_dir):
    """A process: for exit codes, streams, signals, and what is set up once in a process, as the log is."""

    def run(*arguments, stdin=""):
        return subprocess.run(
            [sys.executable, "-m", "portal.cli", *arguments],
            input=stdin, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def rollcall(data_dir, monkeypatch, capsys):
    """The same without a process. Answers as ``program`` does."""

    def run(*arguments, stdin=""):
        monkeypatch.setattr(sys, "argv", ["rollcall", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        return SimpleNamespace(returncode=end.value.code, stdout=told.out, stderr=told.err)

    return run
