"""How values are shown: numbers, times in the viewer's zone, names that must do no harm. Pure, with a thin Jinja layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import Flask, g
from flask_login import current_user
from markupsafe import Markup, escape

from portal import clock

_CONTROLS = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff]"
)
DASH = "–"
# userRegistrationDetails.methodsRegistered of Microsoft Graph
_MFA_WORDS = {
    "alternateMobilePhone": "second phone",
    "email": "email",
    "externalAuthMethod": "another provider",
    "fido2SecurityKey": "security key",
    "hardwareOneTimePasscode": "hardware code",
    "macOsSecureEnclaveKey": "macOS platform key",
    "microsoftAuthenticatorPasswordless": "Microsoft Authenticator",
    "microsoftAuthenticatorPush": "Microsoft Authenticator",
    "mobilePhone": "phone",
    "officePhone": "office phone",
    "passKeyDeviceBound": "passkey",
    "passKeyDeviceBoundAuthenticator": "passkey",
    "passKeyDeviceBoundWindowsHello": "passkey",
    "securityQuestion": "security question",
    "softwareOneTimePasscode": "authenticator app",
    "temporaryAccessPass": "temporary access pass",
    "windowsHelloForBusiness": "Windows Hello",
}

# What each browser and system says of itself. Those that also name another for compatibility come first.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def number(value: float | None) -> str:
    """1312 → "1,312"; None → a dash."""
    return DASH if value is None else f"{value:,.0f}"


def percent(part: float, whole: float, digits: int = 0) -> str:
    """The share in percent; a dash of nothing."""
    return f"{100 * part / whole:.{digits}f}%" if whole else DASH


def plural(count: int, word: str, many: str | None = None) -> str:
    """Count and word: "1 End User", "2 End Users"; ``many`` for words that do not take an s."""
    return f"{number(count)} {word if count == 1 else many or _plural_of(word)}"


def or_dash(value: object) -> object:
    """The value, or a dash where there is nothing."""
    return DASH if value is None or value == "" else value


def products(names: Sequence[str]) -> str:
    """Products in the width of a table's column: "Business Premium +2"; "" for none."""
    if not names:
        return ""
    short = names[0].removeprefix("Microsoft 365 ").removeprefix("Microsoft ")
    return f"{short} +{len(names) - 1:,}" if len(names) > 1 else short


def browser(user_agent: str) -> str:
    """A browser in words, "Chrome on Windows", from its user agent; the user agent itself if nothing in it is known."""
    name = next((word for sign, word in _BROWSERS if sign in user_agent), "")
    system = next((word for sign, word in _SYSTEMS if sign in user_agent), "")
    return " on ".join(part for part in (name, system) if part) or user_agent[:80] or "Unknown"


def harmless(text: object) -> str:
    """Text with a replacement sign for each control character, direction override and half character.

    Shown as they are, they could hide or reorder what stands beside them, or stop the page from being sent (G7).
    """
    return _CONTROLS.sub("\ufffd", str(text))


def relative(when: datetime, now: datetime, zone: tzinfo) -> str:
    """Words such as "20 minutes ago" up to seven days, then "3 Mar, 08:12", with the year once it is another."""
    seconds = (now - when).total_seconds()
    local, today = when.astimezone(zone), now.astimezone(zone)
    if seconds < 0:
        return clock_text(when, now, zone)
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{plural(int(seconds // 60), 'minute')} ago"
    if local.date() == today.date() or seconds < 6 * 3600:
        return f"{plural(int(seconds // 3600), 'hour')} ago"
    if local.date() == (today - timedelta(days=1)).date():
        return "Yesterday"
    if seconds < 7 * 86400:
        return f"{plural((today.date() - local.date()).days, 'day')} ago"
    return clock_text(when, now, zone)


def clock_text(when: datetime, now: datetime, zone: tzinfo) -> str:
    """A clock time today ("14:38"), else day and time ("3 Mar, 08:12"), with the year once it is another."""
    local, today = when.astimezone(zone), now.astimezone(zone)
    if local.date() == today.date():
        return f"{local:%H:%M}"
    day = f"{local.day} {local:%b}"
    return f"{day}, {local:%H:%M}" if local.year == today.year else f"{day} {local.year}"


def viewer_zone() -> tzinfo:
    """The signed-in person's time zone, the server's otherwise. Found once per request: a table asks for each of its rows."""
    if "viewer_zone" not in g:
        g.viewer_zone = _zone_of_viewer()
    zone: tzinfo = g.viewer_zone
    return zone


def _zone_of_viewer() -> tzinfo:
    name = getattr(current_user, "timezone", "") if current_user else ""
    if name:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            pass
    return clock.utcnow().astimezone().tzinfo or UTC


def init_formatting(app: Flask) -> None:
    """Give templates the filters."""
    app.jinja_env.filters.update(
        number=number,
        plural=plural,
        or_dash=or_dash,
        harmless=harmless,
        bdi=bdi,
        mfa_methods=mfa_methods,
        products=products,
        ago=_timed(relative),
        clock_time=_timed(clock_text),
        moment=moment,
        trail=trail,
    )


def trail(crumbs: Markup, name: Markup) -> str:
    """What a window's title says after the page's name: its parents, the nearest first, without the place in the menu."""
    parents = [item.striptags() for item in crumbs.split("</li>")]
    text = name.striptags()
    return "".join(f" · {parent}" for parent in reversed(parents[1:]) if parent and parent not in text)


def moment(when: datetime) -> str:
    """Date and time as text alone, for a title: "29 Nov 2026 04:13:05"."""
    return f"{when.astimezone(viewer_zone()):%d %b %Y %H:%M:%S}"


def _timed(
    show: Callable[[datetime, datetime, tzinfo], str],
) -> Callable[[datetime | None, str], Markup | str]:
    def filtered(when: datetime | None, never: str = "Never") -> Markup | str:
        if when is None:
            return never
        zone = viewer_zone()
        here = when.astimezone(zone)
        exact = f"{here:%Y-%m-%d %H:%M:%S} {here.tzname() or ''}".strip()
        text = show(when, clock.utcnow(), zone)
        moment = f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        # Put together by hand: nothing here needs escaping, and a table has a hundred times.
        return Markup(f'<time datetime="{moment}" title="{exact}">{text}</time>')  # noqa: S704

    return filtered


def bdi(text: object) -> Markup:
    """A name that cannot turn the text around it (right-to-left scripts)."""
    return Markup("<bdi>{}</bdi>").format(escape(harmless(text)))


def mfa_methods(methods: Iterable[str]) -> str:
    """Microsoft's names of sign-in methods in words, comma-separated: "authenticator app, phone"; each once."""
    return ", ".join(dict.fromkeys(_MFA_WORDS.get(name) or _spaced(name) for name in methods))


def _spaced(name: str) -> str:
    """Words of a method's name that we do not know yet."""
    return harmless(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)).lower()


def _plural_of(word: str) -> str:
    return f"{word[:-1]}ies" if word.endswith("y") and word[-2] not in "aeiou" else f"{word}s"
