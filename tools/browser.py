"""Make sure that the browser tests find a Chromium, and print where it is.

    python tools/browser.py

Looked for in this order: Chromium's headless shell, Chromium or Chrome on the PATH; Debian's or Ubuntu's package, installed
when we are root and the machine has apt-get; the build that Playwright downloads for itself. Without any of them: exit code 1
and one line saying what to install. Tests take the path from :func:`find`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

# The shell is Chromium without a window's frame: it takes a third less for a page, and two thirds less for a context.
NAMES = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
# Ubuntu has no shell. The fonts are for the screenshots: people's names come in many scripts.
DEBIAN_PACKAGES = (("chromium-headless-shell", "fonts-noto-core"), ("chromium", "fonts-noto-core"))
# In a process of its own: the tests that call find() run Playwright themselves.
ASK_PLAYWRIGHT = """
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(playwright.chromium.executable_path)
"""
ADVICE = (
    "The browser tests need Chromium: install it ('apt-get install chromium' on Debian and Ubuntu), "
    "or let Playwright fetch one ('.venv/bin/playwright install --with-deps chromium')."
)


def find() -> str | None:
    """Return the path of a Chromium that starts, or None."""
    for path in filter(None, (shutil.which(name) for name in NAMES)):
        if _starts(path):
            return path
    asked = subprocess.run(
        [sys.executable, "-c", ASK_PLAYWRIGHT], capture_output=True, text=True, check=False
    )
    path = asked.stdout.strip()
    return path if path and _starts(path) else None


def _starts(path: str) -> bool:
    # Ubuntu's chromium-browser is a stub that asks for snap: only a version number proves a browser.
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and any(part[:1].isdigit() for part in answer.stdout.split())


def _install() -> None:
    """Try to get one; what fails is seen by looking again."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing Chromium with apt-get ...", flush=True)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=quiet, check=False)
        for packages in DEBIAN_PACKAGES:
            install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
            subprocess.run(install, env=quiet, capture_output=True, check=False)
            if find():
                return
    print("Installing Chromium with Playwright ...", flush=True)
    extra = ["--with-deps"] if os.geteuid() == 0 and shutil.which("apt-get") else []
    # Its own account of a failure is pages long; ADVICE says what is needed.
    fetch = [sys.executable, "-m", "playwright", "install", *extra, "chromium"]
    subprocess.run(fetch, capture_output=True, check=False)


def main() -> int:
    """Command line."""
    path = find()
    if path is None:
        _install()
        path = find()
    print(f"Browser tests run in {path}." if path else ADVICE, file=sys.stdout if path else sys.stderr)
    return 0 if path else 1


if __name__ == "__main__":
    sys.exit(main())
