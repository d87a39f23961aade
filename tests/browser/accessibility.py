"""What axe finds on a page. Its half megabyte of script goes into each page once, however often the page is looked at."""

from __future__ import annotations

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

# A color on its way from one theme to the other is neither's.
ASK = """async (rules) => {
  document.getAnimations().filter((one) => one instanceof CSSTransition).forEach((one) => one.finish());
  const found = await axe.run({ resultTypes: ["violations"], ...(rules && { runOnly: rules }) });
  return found.violations.map((one) => [one.id, one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160))]);
}"""


def violations(page: Page, *rules: str) -> list[tuple[str, list[str]]]:
    """The rules that are broken, all or those named, each with up to three of the elements that break it."""
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(AXE_SCRIPT)
    return [(rule, elements) for rule, elements in page.evaluate(ASK, list(rules) or None)]
