"""How a page looks in both themes, wide and on a phone. Axe's half megabyte of script goes into each page once."""

from __future__ import annotations

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

# All that the other theme changes are colors.
LOOKS = (("light", (1280, 390), ()), ("dark", (390, 1280), ("color-contrast",)))

# The page follows the theme in a handler of its own. A color on its way from one theme to the other is neither's.
ASK = """async ([theme, rules]) => {
  const html = document.documentElement;
  while (theme && html.dataset.bsTheme !== theme) await new Promise(requestAnimationFrame);
  document.getAnimations().filter((one) => one instanceof CSSTransition).forEach((one) => one.finish());
  const found = await axe.run({ resultTypes: ["violations"], ...(rules && { runOnly: rules }) });
  const { scrollWidth, clientWidth } = html;
  return [
    ...found.violations.map((one) => [one.id, one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160))]),
    ...(scrollWidth > clientWidth ? [["scrolls sideways", []]] : []),
  ];
}"""


def violations(page: Page, *rules: str, theme: str | None = None) -> list[tuple[str, list[str]]]:
    """The rules that are broken, all or those named, each with up to three elements that break it; and whether it scrolls sideways.

    With a theme: once the page shows itself in it, which a test's time limit waits for.
    """
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(AXE_SCRIPT)
    return [(rule, elements) for rule, elements in page.evaluate(ASK, [theme, list(rules) or None])]


def looked_at(page: Page, name: str) -> list[tuple[str, str, list[str]]]:
    """What is wrong with a page, in each look: ``name`` and which look, and what ``violations`` says. Ends as it began: light and wide."""
    found = []
    for theme, widths, rules in LOOKS:
        page.emulate_media(color_scheme=theme)
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            found += [(f"{name}, {theme} at {width}", *one) for one in violations(page, *rules, theme=theme)]
    page.emulate_media(color_scheme="light")
    return found
