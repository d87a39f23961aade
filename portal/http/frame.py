"""What surrounds every page: security headers and the globals of templates."""

from __future__ import annotations

import functools
import json
from typing import Any

from flask import Flask, g, request
from flask_login import current_user
from werkzeug.wrappers import Response

from portal.http import access
from portal.http.formatting import init_formatting
from portal.http.responses import init_errors, is_partial, take_flashes
from portal.http.static import VERSIONED, asset_url, icon, serve_versions

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self' {login}; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
)
HTMX_CONFIG = json.dumps(
    {
        "includeIndicatorStyles": False,
        "allowEval": False,
        "disableInheritance": True,
        "allowScriptTags": False,
        "selfRequestsOnly": True,
        # What has been swapped in works at once: otherwise, for 20 ms, a key pressed there would do nothing or leave the page.
        "defaultSettleDelay": 0,
        "historyCacheSize": 0,
        "refreshOnHistoryMiss": True,
        "responseHandling": [
            {"code": "204", "swap": False},
            {"code": "[23]..", "swap": True},
            {"code": "422", "swap": True, "error": False},
            {"code": "[45]..", "swap": False, "error": True},
        ],
    }
)


def init_web(app: Flask, *, sign_in_urls: frozenset[str]) -> None:
    """Install errors, security headers and the globals of templates.

    sign_in_urls: Microsoft's login pages, which forms may lead to.
    """
    init_formatting(app)
    init_errors(app)
    policy = CSP.format(login=" ".join(sorted(sign_in_urls)))
    app.after_request(functools.partial(_secure, policy))
    app.context_processor(_context)
    serve_versions(app)
    app.jinja_env.globals.update(icon=icon, asset_url=asset_url, HTMX_CONFIG=HTMX_CONFIG)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def _context() -> dict[str, Any]:
    theme = getattr(current_user, "theme", "system") if current_user else "system"
    hint = request.headers.get("Sec-CH-Prefers-Color-Scheme", "").strip('"') if request else ""
    theme_shown = theme if theme in {"light", "dark"} else hint if hint in {"light", "dark"} else "light"
    return {
        "theme": theme,
        "shown_theme": theme_shown,
        "is_partial": is_partial() if request else False,
        "flashes": take_flashes(),
        "role_name": access.ROLE_NAMES[g.principal.role] if g.get("principal") else "",
    }


def _secure(policy: str, response: Response) -> Response:
    headers = response.headers
    headers.setdefault("Content-Security-Policy", policy)
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("X-Frame-Options", "DENY")
    headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    if request.is_secure:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    if request.endpoint in {"static", VERSIONED}:
        if request.endpoint == VERSIONED or "/vendor/" in request.path:
            headers["Cache-Control"] = "public, max-age=31536000, immutable"
    elif "Cache-Control" not in headers:
        headers["Cache-Control"] = "no-store"
        headers.setdefault("Accept-CH", "Sec-CH-Prefers-Color-Scheme")
    return response
