"""What templates take from ``static/``: icons drawn in place, and addresses of files that change with their content."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from pathlib import Path

from flask import Flask, Response, current_app, url_for
from markupsafe import Markup

VERSIONED = "versioned.static"


def serve_versions(app: Flask) -> None:
    """Serve ``static/`` at addresses that begin with a version, too: whoever has one may keep it for ever."""

    def send(filename: str, **_version: str) -> Response:
        return app.send_static_file(filename)

    app.add_url_rule("/static/version/<version>/<path:filename>", VERSIONED, send)


def icon(name: str, class_: str = "", **attributes: str) -> Markup:
    """A Tabler icon, inlined. Decoration: the word stands beside it."""
    return _icon(name, " ".join(x for x in ("icon", class_, attributes.get("class", "")) if x))


def asset_url(name: str) -> str:
    """The address of a file in static/, or of the built third-party file of that name; it changes with the content."""
    built = _manifest().get(name)
    if built is not None:
        return url_for("static", filename=f"vendor/{built}")
    return url_for(VERSIONED, version=_version(), filename=name)


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
        manifest: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise RuntimeError("static/vendor is not built: run make assets") from None
    return manifest


@functools.cache
def _version() -> str:
    """Of all files of our own: what a script imports from beside itself is of the same version."""
    own = sorted(path for path in _static().iterdir() if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in own)).hexdigest()[:12]


def _static() -> Path:
    return Path(current_app.static_folder or "static")
