"""``make images``: each image is pinned by the digest that Docker names, and by nothing when it names none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tools import images

DIGESTS = {"python:3.13-slim": "a" * 64, "postgres:18": "b" * 64}


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """``docker(answers)``: a Docker that knows these digests, and a copy of the files; gives their folder."""

    def make(answers):
        for name in images.FILES:
            shutil.copy(images.ROOT / name, tmp_path / name)
        program = tmp_path / "docker"
        cases = "".join(f"{tag}) echo sha256:{digest};;\n" for tag, digest in answers.items())
        program.write_text(
            f'#!/bin/sh\nfor last; do :; done\ncase "$last" in\n{cases}*) echo "no such host" >&2; exit 1;;\nesac\n'
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return tmp_path

    return make


def contents(folder):
    return [(folder / name).read_text(encoding="utf-8") for name in images.FILES]


def test_every_image_is_pinned_and_a_pin_is_renewed(docker):
    folder = docker(DIGESTS)
    wanted = [f"{tag}@sha256:{digest}" for tag, digest in sorted(DIGESTS.items())]
    assert images.pin(folder) == wanted
    dockerfile, compose = contents(folder)
    assert f"ARG PYTHON_IMAGE={wanted[1]}\n" in dockerfile and f"POSTGRES_IMAGE:-{wanted[0]}}}" in compose
    docker({**DIGESTS, "python:3.13-slim": "c" * 64})
    (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    images.pin(folder)
    assert f"ARG PYTHON_IMAGE=python:3.13-slim@sha256:{'c' * 64}\n" in contents(folder)[0]


@pytest.mark.parametrize(
    "answers", [{}, {"python:3.13-slim": "a" * 64}, {**DIGESTS, "postgres:18": "latest"}]
)
def test_without_a_digest_nothing_is_changed(docker, answers):
    folder = docker(answers)
    before = contents(folder)
    with pytest.raises(SystemExit, match="Nothing was changed"):
        images.pin(folder)
    assert contents(folder) == before


def test_no_image_is_named_past_the_pins():
    """Whoever adds a FROM or an image: names it where it is pinned."""
    for name, text in zip(images.FILES, contents(images.ROOT), strict=True):
        named = [
            line.split()[1] for line in text.splitlines() if line.strip().startswith(("FROM ", "image:"))
        ]
        assert [one for one in named if not one.startswith("${") and one != "rollcall"] == [], name


def test_without_docker_it_is_one_line(tmp_path):
    code = "from pathlib import Path; from tools.images import pin; pin(Path('.'))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(images.ROOT),
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (
        found.returncode == 1
        and found.stderr.startswith("Docker cannot be asked for postgres:18")
        and found.stderr.count("\n") == 1
    )
