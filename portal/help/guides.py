"""The guides of ``docs/guide``, as pages, and which of them helps with which page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import markdown
from markupsafe import Markup

from portal.errors import NotFound

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "guide"
PICTURES = ROOT / "docs" / "screenshots"

TOPICS = {
    "microsoft": ("administrator", "connect-microsoft"),
    "tenants": ("administrator", "map-a-microsoft-tenant"),
    "user_sync": ("administrator", "set-up-a-user-sync"),
    "holds": ("administrator", "decide-about-held-changes"),
    "exceptions": ("administrator", "exceptions"),
    "settings": ("administrator", "people-tokens-alerts"),
    "settings.microsoft": ("microsoft-permissions", "register-the-app"),
    "settings.about": ("operator", "watch-it"),
    "settings.audit_events": ("operator", "the-audit-log-as-evidence"),
    "organizations": ("administrator", "map-a-microsoft-tenant"),
    "end_users": ("support", "somebody-is-wrong"),
    "assets": ("support", "import-and-export"),
    "imports": ("support", "import-and-export"),
    "coverage": ("support", "somebody-is-missing"),
    "conflicts": ("support", "somebody-is-twice"),
    "runs": ("support", "a-run-went-wrong"),
    "recovery": ("support", "the-wrong-microsoft-tenant-was-synced"),
}
"""Endpoint or blueprint → (guide, heading). Pages that are not here have the list of guides."""


@dataclass(frozen=True)
class Guide:
    """One guide. name: its file without ``.md``; title: its first heading; body: the rest as HTML."""

    name: str
    title: str
    body: Markup


def names() -> tuple[str, ...]:
    """The guides there are, by file name; empty where the documents were not installed."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.md")))


@lru_cache(maxsize=16)
def guide(name: str) -> Guide:
    """One guide as HTML. Raises NotFound.

    The text is our own and comes with the portal, so its HTML is trusted.
    """
    if name not in names():
        raise NotFound("There is no such guide.")
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    title, _, rest = text.removeprefix("# ").partition("\n")
    rest = re.sub(r"\]\(\.\./screenshots/([\w.-]+)\)", r"](/help/pictures/\1)", rest)
    rest = re.sub(r"\]\((?!\.\./)([\w-]+)\.md", r"](/help/\1", rest)
    rest = re.sub(r"\[([^\]]+)\]\(\.\./[\w-]+\.md\)", r"\1", rest)  # documents that are not served
    html = markdown.markdown(
        rest, extensions=["tables", "toc", "fenced_code", "sane_lists"], output_format="html"
    )
    return Guide(name, title.strip(), Markup(html))  # noqa: S704


def topic(endpoint: str | None) -> tuple[str, str] | None:
    """(guide, heading) that helps with the page of ``endpoint``; None for the list of guides."""
    blueprint = (endpoint or "").partition(".")[0]
    return TOPICS.get(endpoint or "") or TOPICS.get(blueprint)
