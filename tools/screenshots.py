"""Renew the pictures of every page from ``rollcall demo``: light in ``docs/screenshots``, dark and 390 px wide below it.

    python tools/screenshots.py [FOLDER]

First the set-up pop-up, its preview and its progress, as an administrator enables the first sync; then every page with
people on it. Pages are found by following links from fixed addresses, as a person would; one that is not found, or that
answers with an error, ends it with exit code 1. Only the light pictures are kept in the repository.
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

# Name of the picture, address, and the links to follow from there, one after the other (patterns of addresses).
ID = r"[0-9a-f-]{36}"
ORGANIZATION = rf"^/organizations/{ID}$"
END_USERS = rf"^/organizations/{ID}/end-users$"
PERSON = "+/end-users?sort=-last_sign_in_at&mfa=true"
END_USER = rf"^/end-users/{ID}$"
RUN = rf"^/sync-runs/{ID}$"
MICROSOFT = rf"^/microsoft-tenants/{ID}$"
PAGES = (
    ("dashboard", "/"),
    ("search", "/search?q=an"),
    ("microsoft-tenants", "/microsoft-tenants"),
    ("microsoft-tenant", "/microsoft-tenants", MICROSOFT),
    ("check", "/microsoft-tenants", MICROSOFT, "Check connection"),
    ("coverage", "/microsoft-tenants", MICROSOFT, rf"^/microsoft-tenants/{ID}/coverage"),
    ("connect", "/microsoft-tenants/connect"),
    ("discover", "/microsoft-tenants/discover"),
    ("map-microsoft-tenant", "/microsoft-tenants", MICROSOFT, "+/map"),
    ("remove-microsoft-tenant", "/microsoft-tenants", MICROSOFT, "+/remove"),
    ("tenants", "/tenants"),
    ("add-tenant", "/tenants/new"),
    ("tenant", "/tenants?q={name}", rf"^/tenants/{ID}$"),
    ("unmap", "/tenants?q={name}", rf"^/tenants/{ID}$", rf"^/tenants/{ID}/unmap$"),
    ("rename-tenant", "/tenants?q={name}", rf"^/tenants/{ID}$", "+/rename"),
    ("delete-tenant", "/tenants?q=Kestrel", rf"^/tenants/{ID}$", "+/delete"),
    ("map", "/tenants?q=Kestrel", rf"^/tenants/{ID}$", rf"^/tenants/{ID}/map$"),
    ("organizations", "/organizations"),
    ("organization", "/organizations?q={name}", ORGANIZATION),
    ("add-organization", "/organizations/new"),
    ("edit-organization", "/organizations?q={name}", ORGANIZATION, "+/edit"),
    ("delete-organization", "/organizations?q=Kestrel", ORGANIZATION, "+/delete"),
    ("end-users", "/organizations?q={name}", END_USERS),
    ("end-user", "/organizations?q={name}", ORGANIZATION, PERSON, END_USER),
    ("why", "/organizations?q={name}", ORGANIZATION, PERSON, END_USER, rf"^/end-users/{ID}/why"),
    ("delete-end-user", "/organizations?q={name}", ORGANIZATION, PERSON, END_USER, "+/delete"),
    ("unlink", "/organizations?q={name}", ORGANIZATION, PERSON, END_USER, "+/unlink"),
    ("pin", "/organizations?q={name}", ORGANIZATION, PERSON, END_USER, "+/pin/job_title"),
    ("add-end-user", "/organizations?q={name}", END_USERS, rf"^/organizations/{ID}/end-users/new$"),
    ("import", "/organizations?q={name}", END_USERS, rf"^/organizations/{ID}/end-users/import$"),
    ("assets", "/organizations?q={name}", ORGANIZATION, rf"^/organizations/{ID}/assets$"),
    ("add-asset", "/organizations?q={name}", ORGANIZATION, "+/assets/new"),
    ("import-assets", "/organizations?q={name}", ORGANIZATION, "+/assets/import"),
    ("history", "/organizations?q={name}", ORGANIZATION, rf"^/organizations/{ID}/history$"),
    ("exceptions", "/organizations?q={name}", ORGANIZATION, rf"^/organizations/{ID}/exceptions$"),
    ("edit-filters", "/tenants?q={name}", rf"^/tenants/{ID}$", rf"^/organizations/{ID}/user-sync$"),
    ("sync-status", "/organizations?q={name}", ORGANIZATION, "+/user-sync/status"),
    ("disable", "/tenants?q={name}", rf"^/tenants/{ID}$", rf"^/organizations/{ID}/user-sync/disable$"),
    ("recovery", "/tenants?q={name}", rf"^/tenants/{ID}$", rf"^/organizations/{ID}/recovery"),
    ("conflicts", "/organizations?q={name}", ORGANIZATION, "+/conflicts"),
    ("sync-runs", "/sync-runs"),
    ("sync-run", "/sync-runs", RUN),
    ("undo", "/sync-runs", RUN, rf"^/sync-runs/{ID}/undo$"),
    ("settings-microsoft", "/settings/microsoft"),
    ("settings-people", "/settings/people"),
    ("settings-tokens", "/settings/tokens"),
    ("settings-notifications", "/settings/notifications"),
    ("settings-audit-log", "/settings/audit"),
    ("settings-about", "/settings/about"),
    ("account", "/account"),
    ("two-step-sign-in", "/account/totp"),
    ("not-found", "/nowhere"),
)
VIEWS = (("", 1280, "light"), ("dark", 1280, "dark"), ("390", 390, "light"))


def follow(page: Page, base: str, address: str, *links: str) -> None:
    """Open a page and go from link to link. Raises RuntimeError for an error page or a missing link.

    A step that is no pattern is the name of a button to press; one that begins with + is added to the address.
    """
    answer = page.goto(f"{base}{address}")
    for link in links:
        if link.startswith("+"):
            answer = page.goto(page.url + link[1:])
            continue
        if not link.startswith("^"):
            with page.expect_response(lambda found: found.request.is_navigation_request() and found.ok) as caught:
                page.get_by_role("button", name=link).click()
            answer = caught.value
            page.wait_for_load_state()
            continue
        targets = [anchor.get_attribute("href") or "" for anchor in page.locator("a[href]").all()]
        found = next((target for target in targets if re.search(link, target)), None)
        if found is None:
            raise RuntimeError(f"{page.url} has no link like {link}")
        answer = page.goto(f"{base}{found}")
    if answer is None or (not answer.ok and not page.url.endswith("/nowhere")):
        raise RuntimeError(f"{page.url} answers {answer.status if answer else 'nothing'}")


class Photographer:
    """A signed-in administrator in one view; saves pictures into that view's folder."""

    def __init__(self, browser: Browser, base: str, sign_in: tuple[str, str], folder: Path, view: int) -> None:
        name, width, scheme = VIEWS[view]
        self._base, self._folder, self._width = base, folder / name, width
        self._folder.mkdir(parents=True, exist_ok=True)
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if scheme == "dark" else "light"
        )
        self.page = context.new_page()
        self.page.goto(f"{base}/login")
        self.shot("login")
        self.page.get_by_label("Email").fill(sign_in[0])
        self.page.get_by_label("Password", exact=True).fill(sign_in[1])
        self.page.locator("form:has(input[type=password]) button[type=submit]").click()
        self.page.wait_for_url(lambda url: "/login" not in url)

    def shot(self, name: str, *, full: bool = True) -> None:
        """Save what is seen; ``full`` up to 1,600 px of the page, which a dialog's backdrop does not fill."""
        self.page.set_viewport_size({"width": self._width, "height": 900})  # a short page after a long one
        height = self.page.evaluate("document.documentElement.scrollHeight")
        self.page.set_viewport_size({"width": self._width, "height": min(max(height, 900), 1600) if full else 900})
        self.page.screenshot(path=self._folder / f"{name}.png", animations="disabled")

    def set_up(self, name: str) -> None:
        """The pop-up and its preview, for an Organization without a sync; enables nothing."""
        follow(self.page, self._base, f"/tenants?q={name}", rf"^/tenants/{ID}$")
        self.page.get_by_role("link", name=re.compile("^Set Up")).click()
        self.page.get_by_role("dialog").get_by_role("button", name="Enable Sync").wait_for()
        self.shot("setup-dialog", full=False)
        self.page.get_by_role("dialog").get_by_role("button", name="Preview").click()
        self.page.get_by_role("dialog").get_by_role("button", name=re.compile("exactly this plan")).wait_for()
        self.shot("setup-preview", full=False)
        self.page.get_by_role("dialog").get_by_role("button", name=re.compile("^Back")).click()
        self.page.get_by_role("dialog").get_by_role("button", name="Enable Sync").wait_for()
        self.page.locator("#department-section > summary").click()
        self.page.get_by_role("dialog").locator("[name=department_all]").uncheck()
        self.page.get_by_role("dialog").get_by_role("button", name="Enable Sync").click()
        self.page.get_by_role("dialog").get_by_role("alert").first.wait_for()
        self.shot("setup-problems", full=False)

    def enable(self, name: str) -> None:
        """Enable with everything on All, and wait until the first run is over."""
        follow(self.page, self._base, f"/tenants?q={name}", rf"^/tenants/{ID}$")
        self.page.get_by_role("link", name=re.compile("^Set Up")).click()
        self.page.get_by_role("dialog").get_by_role("button", name="Enable Sync").click()
        self.page.get_by_role("dialog").get_by_role("link", name="Close", exact=True).wait_for()
        self.shot("setup-progress", full=False)
        self.page.get_by_role("dialog").get_by_role("link", name="Close", exact=True).click()
        self.page.get_by_text("Enabled", exact=True).first.wait_for(timeout=120_000)

    def pages(self, name: str) -> None:
        """Every page."""
        for title, address, *links in PAGES:
            follow(self.page, self._base, address.format(name=name), *links)
            self.shot(title)


def photograph(browser: Browser, base: str, sign_in: tuple[str, str], folder: Path) -> None:
    """Take every page in every view. The first customer of the demo is the one that is mapped."""
    views = [Photographer(browser, base, sign_in, folder, number) for number in range(len(VIEWS))]
    follow(views[0].page, base, "/tenants?sort=name", rf"^/tenants/{ID}$")
    name = views[0].page.get_by_role("heading", level=1).inner_text()
    for view in views:
        view.set_up(name)
    views[0].enable(name)
    for view in views:
        view.pages(name)


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
