"""Time each page of ``rollcall demo`` in a real browser: milliseconds from the click to the first thing that is seen.

    python tools/bench_paint.py

The first sync is enabled first, so that the pages have people on them. Each page is opened several times with the
browser's cache as a person's would be, and the best time counts; beside it how long the server took.
"""

from __future__ import annotations

import sys

from demo_pages import (  # a neighbor in this folder
    PAGES,
    enable,
    first_customer,
    follow,
    running_demo,
    sign_in,
)
from playwright.sync_api import Page

BAR = 200  # ms
ROUNDS = 5
PAINTED = """new Promise(done => {
  const seen = () => {
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    const page = performance.getEntriesByType("navigation")[0];
    if (paint) done([paint.startTime, page.responseEnd]); else requestAnimationFrame(seen);
  };
  seen();
})"""


def measure(page: Page, base: str, name: str) -> list[tuple[float, float, str]]:
    """First paint and end of the answer of each page, best of several, slowest first."""
    addresses = {}
    for title, address, *links in PAGES:
        follow(page, base, address.format(name=name), *links)
        addresses[title] = page.url
    rounds = []
    for _ in range(ROUNDS):
        times = []
        for address in addresses.values():
            page.goto(address)
            painted, answered = page.evaluate(PAINTED)
            times.append((painted, answered))
        rounds.append(times)
    best = [min(times) for times in zip(*rounds, strict=True)]
    return sorted(((*time, title) for time, title in zip(best, addresses, strict=True)), reverse=True)


def main() -> int:
    """Command line."""
    try:
        with running_demo() as (browser, base, who):
            page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            sign_in(page, base, who)
            name = first_customer(page, base)
            enable(page, base, name)
            found = measure(page, base, name)
    except RuntimeError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    print(f"{'paint':>6} {'answer':>7}  ms")
    for painted, answered, title in found:
        print(f"{painted:6.0f} {answered:7.0f}  {title}")
    print(f"slowest first paint {found[0][0]:.0f} ms, the bar is {BAR} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
