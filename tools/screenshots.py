"""Renew the pictures in ``docs/screenshots`` from ``rollcall demo``: light, dark, and 390 px wide.

    python tools/screenshots.py [FOLDER]

Pages are found by following links from the fixed addresses, as a person would; a page that answers with an error ends
it with exit code 1.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

from browser import find  # a neighbor in this folder
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = str(Path(sys.executable).with_name("rollcall"))
SIGN_IN = re.compile(r"Sign in as:\s+(\S+)\s+(\S+)\s+\(administrator\)")

# Name of the picture, address, and the first link to follow from there (a pattern for its address).
ID = r"[0-9a-f-]{36}"
PAGES = (
    ("dashboard", "/", None),
    ("microsoft-tenants", "/microsoft-tenants", None),
    ("tenant", "/organizations", rf"^/tenants/{ID}$"),
    ("organizations", "/organizations", None),
    ("end-users", "/organizations", rf"^/organizations/{ID}/end-users$"),
    ("sync-runs", "/sync-runs", None),
    ("sync-run", "/sync-runs", rf"^/sync-runs/{ID}$"),
    ("settings", "/settings", None),
)
VIEWS = (("", 1280, "light"), ("-dark", 1280, "dark"), ("-390", 390, "light"))


def take(page: Page, base: str, address: str, link: str | None, file: Path) -> None:
    """Open a page, follow the link when one is wanted, and save the whole of it. Missing links are told, not fatal."""
    answer = page.goto(f"{base}{address}")
    if link is not None:
        targets = [anchor.get_attribute("href") or "" for anchor in page.locator("a[href]").all()]
        found = next((target for target in targets if re.search(link, target)), None)
        if found is None:
            print(f"{file.name}: no link like {link} on {address}, left out")
            return
        answer = page.goto(f"{base}{found}")
    if answer is None or not answer.ok:
        raise RuntimeError(f"{page.url} answers {answer.status if answer else 'nothing'}")
    page.screenshot(path=file, full_page=True)


def photograph(browser: Browser, base: str, sign_in: tuple[str, str], folder: Path) -> None:
    """Take every page in every view as one signed-in administrator."""
    for suffix, width, scheme in VIEWS:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if scheme == "dark" else "light"
        )
        page = context.new_page()
        page.goto(f"{base}/login")
        page.get_by_label("Email").fill(sign_in[0])
        page.get_by_label("Password", exact=True).fill(sign_in[1])
        page.locator("form:has(input[type=password]) button[type=submit]").click()
        page.wait_for_url(lambda url: "/login" not in url)
        for name, address, link in PAGES:
            take(page, base, address, link, folder / f"{name}{suffix}.png")
        context.close()


def main() -> int:
    """Command line."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    demo = subprocess.Popen([PROGRAM, "demo", "--port", str(port)], stdout=subprocess.PIPE, text=True)
    try:
        said = ""
        for line in demo.stdout or ():
            said += line
            if "Stop:" in line:
                break
        found = SIGN_IN.search(said)
        if found is None:
            raise RuntimeError(f"the demo has not told how to sign in: {said}")
        wait_until_open(port)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find(), args=["--no-sandbox"])
            photograph(browser, f"http://localhost:{port}", (found[1], found[2]), folder)
            browser.close()
    except RuntimeError as problem:
        print(f"screenshots: {problem}", file=sys.stderr)
        return 1
    finally:
        demo.terminate()
        demo.wait(timeout=60)
    return 0


def wait_until_open(port: int) -> None:
    """Return when somebody listens on the port. Raises RuntimeError after a minute."""
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError("the demo's portal has not come up within a minute")


if __name__ == "__main__":
    sys.exit(main())
