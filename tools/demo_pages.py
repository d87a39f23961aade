"""The pages of ``rollcall demo`` and how a person gets to each: for the pictures of them and for the time they take."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from browser import find  # a neighbor in this folder
from playwright.sync_api import Browser, Page, sync_playwright

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
    ("people", "/people"),
    ("filter-templates", "/settings/filter-templates"),
    ("add-filter-template", "/settings/filter-templates/new"),
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


@contextmanager
def running_demo() -> Iterator[tuple[Browser, str, tuple[str, str]]]:
    """A browser, the address of a demo on fresh data, and its administrator's e-mail and password.

    Raises RuntimeError when it does not come up.
    """
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
            yield browser, f"http://localhost:{port}", (found[1], found[2])
            browser.close()
    finally:
        demo.terminate()
        demo.wait(timeout=60)


def wait_until_open(port: int) -> None:
    """Return when somebody listens on the port. Raises RuntimeError after a minute."""
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError("the demo's portal has not come up within a minute")


def sign_in(page: Page, base: str, who: tuple[str, str]) -> None:
    """Sign in with e-mail and password; the page is at the login already, or goes there."""
    if not page.url.startswith(f"{base}/login"):
        page.goto(f"{base}/login")
    page.get_by_label("Email").fill(who[0])
    page.get_by_label("Password", exact=True).fill(who[1])
    page.locator("form:has(input[type=password]) button[type=submit]").click()
    page.wait_for_url(lambda url: "/login" not in url)


def first_customer(page: Page, base: str) -> str:
    """The name of the demo's Tenant that is mapped and has no sync yet."""
    follow(page, base, "/tenants?sort=name", rf"^/tenants/{ID}$")
    return page.get_by_role("heading", level=1).inner_text()


def enable(page: Page, base: str, name: str, *, on_progress: Callable[[], None] = lambda: None) -> None:
    """Enable a customer's sync with everything on All, and wait until its people are there; told while progress shows."""
    follow(page, base, f"/tenants?q={name}", rf"^/tenants/{ID}$")
    page.get_by_role("link", name=re.compile("^Set Up")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Enable Sync").click()
    dialog.get_by_role("link", name="Close", exact=True).wait_for()
    on_progress()
    dialog.get_by_role("link", name="Close", exact=True).click()
    page.get_by_text("Enabled", exact=True).first.wait_for(timeout=120_000)


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
            with page.expect_response(
                lambda found: found.request.is_navigation_request() and found.ok
            ) as caught:
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
