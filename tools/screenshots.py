"""Renew the pictures of every page from ``rollcall demo``: light in ``docs/screenshots``, dark and 390 px wide below it.

    python tools/screenshots.py [FOLDER]

First the set-up pop-up, its preview and its progress, as an administrator enables the first sync; then every page with
people on it; at last a roll-out, from the customers of the demo's partner to enabled syncs. Pages are found by following links from fixed addresses, as a person would; one that is not found, or that
answers with an error, ends it with exit code 1. Only the light pictures are kept in the repository.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from demo_pages import (  # a neighbor in this folder
    ID,
    PAGES,
    enable,
    first_customer,
    follow,
    running_demo,
    sign_in,
)
from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent
PARTNER = "Harbor Bridge IT"  # the simulator's
TEMPLATE = "Standard"
SOON = 120_000  # ms
VIEWS = (("", 1280, "light"), ("dark", 1280, "dark"), ("390", 390, "light"))


class Photographer:
    """A signed-in administrator in one view; saves pictures into that view's folder."""

    def __init__(self, browser: Browser, base: str, who: tuple[str, str], folder: Path, view: int) -> None:
        name, width, scheme = VIEWS[view]
        self._base, self._folder, self._width = base, folder / name, width
        self._folder.mkdir(parents=True, exist_ok=True)
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            ignore_https_errors=True,  # the simulator asks for consent under a certificate of its own
        )
        self.page = context.new_page()
        self.page.goto(f"{base}/login")
        self.shot("login")
        sign_in(self.page, base, who)

    def shot(self, name: str, *, full: bool = True) -> None:
        """Save what is seen; ``full`` up to 1,600 px of the page, which a dialog's backdrop does not fill."""
        self.page.set_viewport_size({"width": self._width, "height": 900})  # a short page after a long one
        height = self.page.evaluate("document.documentElement.scrollHeight")
        self.page.set_viewport_size(
            {"width": self._width, "height": min(max(height, 900), 1600) if full else 900}
        )
        self.page.screenshot(path=self._folder / f"{name}.png", animations="disabled")

    def set_up(self, name: str) -> None:
        """The pop-up and its preview, for an Organization without a sync; enables nothing."""
        follow(self.page, self._base, f"/tenants?q={name}", rf"^/tenants/{ID}$")
        self.page.get_by_role("link", name=re.compile("^Set Up")).click()
        self.page.get_by_role("dialog").get_by_role("button", name="Enable Sync").wait_for()
        self.page.locator("#sums[hx-trigger]").wait_for(state="detached")
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
        """The progress of the first run; enables with everything on All."""
        enable(self.page, self._base, name, on_progress=lambda: self.shot("setup-progress", full=False))

    def pages(self, name: str) -> None:
        """Every page."""
        for title, address, *links in PAGES:
            follow(self.page, self._base, address.format(name=name), *links)
            self.page.locator("#sums[hx-trigger]").wait_for(state="detached")
            self.shot(title)

    def save_template(self) -> None:
        """A filter template, for the roll-out to choose."""
        self.page.goto(f"{self._base}/settings/filter-templates/new")
        self.page.get_by_label("Name", exact=True).fill(TEMPLATE)
        self.page.get_by_role("button", name="Save").click()
        self.page.wait_for_url(re.compile(f"{ID}$"))

    def connect_partner(self) -> None:
        """Consent for the simulator's partner, and look for its customers."""
        self.page.goto(f"{self._base}/microsoft-tenants/connect")
        self.page.get_by_role("button", name="Ask for consent").click()
        self._consent(PARTNER)
        self.page.goto(f"{self._base}/microsoft-tenants/discover")
        self.page.get_by_role("combobox", name="Partner tenant").select_option(label=PARTNER)
        self.page.get_by_role("button", name="Look for customers").click()
        self.page.get_by_role("button", name="Connect the selected").wait_for()

    def begin(self) -> None:
        """Connect all of the customers; consent for those whose administrators have not given it, as they would."""
        self.page.get_by_role("checkbox", name="Select all").first.check()
        self.page.get_by_role("button", name="Connect the selected").click()
        asks = self.page.get_by_role("button", name=re.compile("^Ask for consent of"))
        asks.first.wait_for(timeout=SOON)
        rollout = self.page.url
        for number in range(asks.count()):
            asks.nth(number).click()
            self._consent()
            self.page.goto(rollout)
        self.press("^Try all again", "Create or match Organizations")
        asks.first.wait_for(state="detached", timeout=SOON)

    def press(self, name: str, then: str) -> None:
        """Press a button of the roll-out, and wait for what comes next."""
        self.page.get_by_role("button", name=re.compile(name)).click()
        self.page.get_by_role("heading", name=then, exact=True).wait_for(timeout=SOON)

    def show(self, address: str, title: str) -> None:
        """What stands at an address."""
        self.page.goto(address)
        self.shot(title)

    def _consent(self, tenant: str = "") -> None:
        if tenant:
            self.page.get_by_label("Organization").select_option(label=tenant)
        self.page.get_by_role("button", name="Accept").click()
        self.page.wait_for_url(lambda url: url.startswith(self._base))


def roll_out(views: list[Photographer], base: str) -> None:
    """From Discover customers to enabled syncs: the first view does it, and each shows how it looks there."""
    first, *_ = views
    first.save_template()

    def show(title: str) -> None:
        for view in views:
            view.show(first.page.url, title)

    show("filter-template")
    first.connect_partner()
    show("discover")
    first.begin()
    show("rollout-match")
    first.press("^Create and map", "Choose who becomes an End User")
    show("rollout-filters")
    first.page.get_by_role("radio", name=TEMPLATE).check()
    first.press("^Preview", f"Preview: {TEMPLATE}")
    show("rollout-preview")
    first.press("^Enable the selected", "Enabled")
    show("rollout-progress")
    follow(first.page, base, "/settings/filter-templates")
    show("filter-templates")


def photograph(browser: Browser, base: str, who: tuple[str, str], folder: Path) -> None:
    """Take every page in every view."""
    views = [Photographer(browser, base, who, folder, number) for number in range(len(VIEWS))]
    name = first_customer(views[0].page, base)
    for view in views:
        view.set_up(name)
    views[0].enable(name)
    for view in views:
        view.pages(name)
    roll_out(views, base)


def main() -> int:
    """Command line."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with running_demo() as (browser, base, who):
            photograph(browser, base, who, folder)
    except RuntimeError as problem:
        print(f"screenshots: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
