"""What templates take from ``static/``: icons drawn in place, and addresses of files that change with their content."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from pathlib import Path

from flask import current_app, url_for
from markupsafe import Markup


def icon(name: str, class_: str = "", **attributes: str) -> Markup:
    """A Tabler icon, inlined. Decoration: the word stands beside it."""
    return _icon(name, " ".join(x for x in ("icon", class_, attributes.get("class", "")) if x))


def asset_url(name: str) -> str:
    """The address of a file in static/, or of the built third-party file of that name; it changes with the content."""
    built = _manifest().get(name)
    if built is not None:
        return url_for("static", filename=f"vendor/{built}")
    return url_for("static", filename=name, v=_fingerprint(name))


@functools.cache
def _icon(name: str, classes: str) -> Markup:
    return Markup('<svg class="{}" aria-hidden="true" {}').format(classes, _drawing(name))


@functools.cache
def _drawing(name: str) -> Markup:
    path = _static() / "vendor" / "icons" / f"{name}.svg"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise RuntimeError(
            f"there is no icon {name}: add it to static/icons.list and run make assets"
        ) from None
    inner = text[text.index("<svg") + 4 :]
    return Markup(re.sub(r'\s(class|width|height)="[^"]*"', "", inner, count=3))  # noqa: S704 - our own build's file


@functools.cache
def _manifest() -> dict[str, str]:
    path = _static() / "vendor" / "manifest.json"
    try:
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise RuntimeError("static/vendor is not built: run make assets") from None
    return found


@functools.cache
def _fingerprint(name: str) -> str:
    return hashlib.sha256((_static() / name).read_bytes()).hexdigest()[:12]


def _static() -> Path:
    return Path(current_app.static_folder or "static")
