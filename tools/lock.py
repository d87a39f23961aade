"""Write the locks: ``requirements/*.lock`` from ``pyproject.toml``, ``package-lock.json`` from ``package.json``.

    python tools/lock.py [--upgrade]

Every lock holds exact versions with hashes for Python 3.11 and later on any platform, and no address of a registry,
so that any mirror will do. Without ``--upgrade`` versions that still fit stay as they are.

``runtime.lock``  what the portal needs; ``scale.lock`` that and what a fleet of workers needs; ``dev.lock`` what the
tests need besides the portal; ``build.lock`` what installs the
``rollcall`` command; ``assets.lock`` npm, for machines that have none.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from assets import ROOT, run_npm  # a neighbor in this folder

OLDEST_PYTHON = "3.11"


def compile_lock(
    name: str, *sources: str, requirements: list[str] | None = None, upgrade: bool = False
) -> None:
    """Write one lock with uv, from ``sources`` (uv arguments) or from a list of requirements."""
    command = ["uv", "pip", "compile", *(sources or ("-",)), "--output-file", f"requirements/{name}.lock"]
    command += ["--universal", "--generate-hashes", "--python-version", OLDEST_PYTHON]
    command += ["--quiet", "--custom-compile-command", "make lock", *(["--upgrade"] if upgrade else [])]
    program = str(Path(sys.executable).with_name("uv"))
    text = None if requirements is None else "\n".join(requirements)
    subprocess.run([program, *command[1:]], cwd=ROOT, input=text, text=True, check=True)


def main() -> int:
    """Command line; the exit code is that of the first step which fails."""
    upgrade = "--upgrade" in sys.argv[1:]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    try:
        compile_lock("runtime", "pyproject.toml", upgrade=upgrade)
        compile_lock(
            "dev",
            "pyproject.toml",
            "--extra",
            "dev",
            "--constraint",
            "requirements/runtime.lock",
            upgrade=upgrade,
        )
        compile_lock(
            "scale",
            "pyproject.toml",
            "--extra",
            "scale",
            "--constraint",
            "requirements/dev.lock",
            upgrade=upgrade,
        )
        extras = project["project"]["optional-dependencies"]
        compile_lock("assets", requirements=extras["assets"], upgrade=upgrade)
        compile_lock("build", requirements=project["build-system"]["requires"], upgrade=upgrade)
    except subprocess.CalledProcessError as problem:
        return problem.returncode
    return run_npm(ROOT, "install", "--package-lock-only")


if __name__ == "__main__":
    sys.exit(main())
