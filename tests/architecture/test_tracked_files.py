"""What a clone holds: nothing of other projects, no address of a registry, no loose ends."""

from __future__ import annotations

import json
import re
import tomllib

from tests.architecture.source import ROOT, tracked_files, tracked_texts

# Written in two halves, so that this file does not hold what it looks for.
HOSTS = tuple(
    "".join(halves)
    for halves in (
        ("pypi", ".org"),
        ("python", "hosted.org"),
        ("npm", "js.org"),
        ("npm", "js.com"),
        ("yarn", "pkg.com"),
        ("un", "pkg.com"),
        ("js", "delivr"),
        ("cdn", "js."),
        ("bootstrap", "cdn"),
        ("fonts.google", "apis"),
        ("ajax.google", "apis"),
        ("fonts.g", "static"),
        ("esm", ".sh"),
        ("sky", "pack.dev"),
        ("ghcr", ".io"),
        ("docker", ".io"),
        ("quay", ".io"),
        ("deb.deb", "ian.org"),
        ("cdn.play", "wright"),
    )
)
LOCKS = ("requirements/", "package-lock.json")
TODO = re.compile(r"\b(TODO|FIXME)\b(?!\s*\(?(#\d+|docs/decisions/))")


def test_no_registry_or_cdn_is_named() -> None:
    found = [f"{path}: {host}" for path, text in tracked_texts() for host in HOSTS if host in text.lower()]
    assert found == []


def test_every_to_do_has_a_reference() -> None:
    found = [
        f"{path}:{number}"
        for path, text in tracked_texts()
        if not path.startswith(LOCKS) and path != "tests/architecture/test_tracked_files.py"
        for number, line in enumerate(text.splitlines(), start=1)
        if TODO.search(line)
    ]
    assert found == []


def test_no_code_of_other_projects_is_tracked() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if {"node_modules", "vendor", "site-packages", ".venv"} & set(path.relative_to(ROOT).parts)
        or re.search(r"\.min\.(js|css)$|\.map$", path.name)
    ]
    assert found == []


def test_no_line_of_a_template_is_longer_than_140() -> None:
    found = [
        f"{path}:{number}"
        for path, text in tracked_texts()
        if path.startswith("templates/")
        for number, line in enumerate(text.splitlines(), start=1)
        if len(line) > 140
    ]
    assert found == []


def test_no_conflict_marker_is_left() -> None:
    marker = re.compile(r"^(<{7} |>{7} )", re.MULTILINE)
    assert [path for path, text in tracked_texts() if marker.search(text)] == []


def test_every_locked_package_has_hashes_and_no_address() -> None:
    for lock in sorted((ROOT / "requirements").glob("*.lock")):
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text and " @ " not in text, lock.name
        entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
        assert entries, lock.name
        assert [e.split()[0] for e in entries if "--hash=sha256:" not in e] == [], lock.name


def test_the_locks_hold_what_the_project_file_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    wanted = {
        "runtime": project["project"]["dependencies"],
        "dev": project["project"]["dependencies"] + extras["dev"],
        "assets": extras["assets"],
        "build": project["build-system"]["requires"],
    }
    for name, requirements in wanted.items():
        text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
        locked = {line.split()[0] for line in text.splitlines() if re.match(r"[a-z0-9]", line)}
        names = {pin.partition("==")[0] for pin in locked}
        for requirement in requirements:
            package, _, version = re.sub(r"\[.*?\]", "", requirement).partition("==")
            package = re.split(r"[<>=~! ]", package)[0].lower().replace("_", "-")
            assert package in names, f"{package} is not in {name}.lock: run 'make lock'"
            if version:
                assert f"{package}=={version}" in locked, f"{package} differs in {name}.lock: run 'make lock'"


def test_the_runtime_lock_is_part_of_the_development_lock() -> None:
    def pins(name: str) -> set[str]:
        text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
        return set(re.findall(r"^[a-z0-9][a-z0-9.-]*==[^ ;]+", text, flags=re.MULTILINE))

    assert pins("runtime") - pins("dev") == set()


def test_browser_packages_are_pinned_exactly_and_locked() -> None:
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert lock[""]["dependencies"] == wanted
    for name, version in wanted.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), name
        assert lock[f"node_modules/{name}"]["version"] == version
    assert [
        name for name, entry in lock.items() if name and not entry.get("integrity", "").startswith("sha512-")
    ] == []
    assert [name for name, entry in lock.items() if "resolved" in entry] == []
