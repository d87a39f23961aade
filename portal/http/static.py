"""What templates take from ``static/``: icons drawn in place, the stylesheet, and addresses that change with their content."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import re
from pathlib import Path
from typing import NamedTuple

from flask import Flask, Response, current_app, send_file, url_for
from markupsafe import Markup

VERSIONED = "versioned.static"
STYLESHEET = "portal.css"
STYLES = (
    "tokens",
    "tabler",
    "frame",
    "facts",
    "tables",
    "charts",
    "attention",
    "conflicts",
    "dialogs",
    "phases",
    "locked",
    "sign-in",
    "small",
    "narrow",
    "folded",
    "print",
    "states",
    "help",
)
"""What portal.css is joined from: ``static/styles/<name>.css``, in this order.

Of two rules of equal weight the later one wins: what narrow screens, paper or a state change stands behind what they change.
"""


class Stylesheet(NamedTuple):
    """portal.css as it is served. changed: when a part of it was changed last, in seconds since 1970."""

    content: bytes
    etag: str
    changed: float


def serve_versions(app: Flask) -> None:
    """Serve ``static/`` at versioned addresses too; these may be cached for ever.

    portal.css is no file: at either address it is joined from its parts.
    """

    def send(filename: str, **_version: str) -> Response:
        return _send_stylesheet() if filename == STYLESHEET else app.send_static_file(filename)

    app.add_url_rule("/static/version/<version>/<path:filename>", VERSIONED, send)
    app.view_functions["static"] = send


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
    return _digest(b"".join([*(path.read_bytes() for path in own), _stylesheet().content]))


def _send_stylesheet() -> Response:
    """Answer as Flask does for a file: with an ETag and the time of the last change, or 304."""
    content, etag, changed = _stylesheet()
    return send_file(
        io.BytesIO(content),
        download_name=STYLESHEET,
        etag=etag,
        last_modified=changed,
        max_age=current_app.get_send_file_max_age(STYLESHEET),
    )


@functools.cache
def _stylesheet() -> Stylesheet:
    """Join the parts of portal.css, once a process."""
    parts = [_static() / "styles" / f"{name}.css" for name in STYLES]
    content = b"\n".join(part.read_bytes() for part in parts)
    return Stylesheet(content, _digest(content), max(part.stat().st_mtime for part in parts))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _static() -> Path:
    return Path(current_app.static_folder or "static")
