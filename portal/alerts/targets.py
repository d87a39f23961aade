"""An address that alerts go to: read once, strictly, and from then on built from its parts.

Which kinds may be entered, and which parameters each takes, are closed lists: Apprise knows a hundred kinds and parameters
that call other addresses, read files or send other requests, whoever an administrator's browser was made to enter them by.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode

from portal.alerts import events
from portal.errors import Invalid

_MAIL = frozenset({"to", "from", "cc", "bcc", "name", "smtp", "user", "pass", "mode", "reply"})
_NTFY = frozenset({"priority", "xtags", "tags", "auth", "token"})
"""Without ``mode``: it would make the topic of ``ntfy://topic`` a host."""
PARAMETERS: dict[str, frozenset[str]] = {
    "mailto": _MAIL,
    "mailtos": _MAIL,
    "json": frozenset(),
    "jsons": frozenset(),
    "slack": frozenset({"footer", "image", "timestamp"}),
    "workflows": frozenset(
        {
            "id",
            "workflow",
            "sig",
            "signature",
            "ver",
            "api-version",
            "pa",
            "powerautomate",
            "route",
            "routeid",
            "wrap",
        }
    ),
    "opsgenie": frozenset({"region", "priority"}),
    "discord": frozenset({"thread"}),
    "gotify": frozenset({"priority"}),
    "gotifys": frozenset({"priority"}),
    "ntfy": _NTFY,
    "ntfys": _NTFY,
}
WITH_HOST = frozenset({"mailto", "mailtos", "json", "jsons", "workflows", "gotify", "gotifys"})
"""Elsewhere a token or a topic stands in its place."""
LOCAL_ADVICE = "This address is inside your own network. Check “Inside our network” if that is intended."
INCOMPLETE = "This address is not complete. The Apprise documentation shows the format of each kind."
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NAME = re.compile(
    r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?", re.IGNORECASE
)
_LOCAL_NAMES = ("localhost", "local", "internal", "lan", "home.arpa", "localdomain", "intranet")


@dataclass(frozen=True)
class Target:
    """The parts of an address, decoded, and the events it receives (``alerts.events``).

    is_local: an administrator said that it may be inside our network.
    """

    kind: str
    user: str
    password: str
    host: str
    port: int | None
    path: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...]
    is_local: bool = False
    events: tuple[str, ...] = events.DEFAULT

    @property
    def url(self) -> str:
        """The address for Apprise, each part encoded anew. Never show or log it."""
        who = quote(self.user, safe="") + (f":{quote(self.password, safe='')}" if self.password else "")
        place = f"{who}@{self._place}" if who else self._place
        path = "".join(f"/{quote(part, safe='')}" for part in self.path)
        query = f"?{urlencode(self.parameters, quote_via=quote, safe='')}" if self.parameters else ""
        return f"{self.kind}://{place}{path}{query}"

    @property
    def name(self) -> str:
        """As pages may name it: its kind, and its host where that is one ("jsons at hooks.example"), nothing of its secrets."""
        return f"{self.kind} at {self.host}" if self.kind in WITH_HOST else self.kind

    def hosts(self) -> list[str]:
        """The hosts of ours to name that a delivery connects to; [] where it is the service's own."""
        if self.kind in WITH_HOST:
            return [dict(self.parameters).get("smtp") or self.host]
        return [self.host] if self.kind in {"ntfy", "ntfys"} and self.path else []

    def secrets(self) -> list[str]:
        """Everything in it that a log may not repeat, the longest first."""
        parts = [self.user, self.password, *self.path, *(value for _, value in self.parameters)]
        if self.kind not in WITH_HOST:
            parts.append(self.host)
        forms = {
            form for part in parts for form in (part, quote(part), quote(part, safe="")) if len(form) > 1
        }
        return sorted(forms, key=len, reverse=True)

    @property
    def _place(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        return host if self.port is None else f"{host}:{self.port}"


def parse(text: str, *, is_local: bool = False) -> Target:
    """Read what was entered. Raises Invalid on ``address``, without repeating any of it."""
    text = text.strip()
    if re.search(r"\s", text) or _CONTROL.search(text):
        raise _bad(
            "An address cannot contain spaces. Enter one at a time, and write %20 for a space in a password."
        )
    kind, separator, rest = text.partition("://")
    kind = kind.lower()
    if not separator or kind not in PARAMETERS:
        raise _bad("This kind is not supported. Use one of: " + ", ".join(sorted(PARAMETERS)) + ".")
    before, _, query = rest.partition("?")
    authority, _, path = before.partition("/")
    who, _, place = authority.rpartition("@")
    user, _, password = who.partition(":")
    host, port = _host(place, kind)
    target = Target(
        kind=kind,
        user=_decoded(user),
        password=_decoded(password),
        host=host,
        port=port,
        path=tuple(_decoded(part) for part in path.split("/") if part),
        parameters=_parameters(query, kind),
        is_local=is_local,
    )
    for name in target.hosts():
        if name != host:
            _ascii(name)  # ``smtp`` names one too
        if not is_local and _is_local_name(name):
            raise _bad(LOCAL_ADVICE)
    return target


def check_place(target: Target) -> None:
    """Look the host up. Raises Invalid on ``address`` when it is inside our network and may not be.

    One that cannot be looked up now is taken: it is checked again at each delivery, where the connection is made.
    """
    if target.is_local:
        return
    for name in target.hosts():
        try:
            resolved = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            continue
        if not all(is_public(str(address[0])) for *_, address in resolved):
            raise _bad(LOCAL_ADVICE)


def is_public(address: str) -> bool:
    """False for loopback, private, link-local and every other address that is not on the internet; also where hidden in IPv6."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def _is_local_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        plain = host.rstrip(".").lower()
        return "." not in plain or plain.endswith(tuple(f".{ending}" for ending in _LOCAL_NAMES))
    return not is_public(host)


def _host(place: str, kind: str) -> tuple[str, int | None]:
    if kind not in WITH_HOST and kind not in {"ntfy", "ntfys"}:
        if not place:
            raise _bad(INCOMPLETE)
        return _decoded(place), None  # a token; some hold colons
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        try:
            host = str(ipaddress.IPv6Address(host))
        except ValueError as error:
            raise _bad("The host in this address cannot be used.") from error
        port = port.removeprefix(":") if port.startswith(":") or not port else "x"
    else:
        host, colon, port = place.partition(":")
        port = port if port or not colon else "x"
        host = _ascii(host)
    if port and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536):
        raise _bad("The port in this address cannot be used.")
    return host, int(port) if port else None


def _ascii(host: str) -> str:
    try:
        ascii_host = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise _bad("The host in this address cannot be used.") from error
    if not _NAME.fullmatch(ascii_host):
        raise _bad("The host in this address cannot be used." if ascii_host else INCOMPLETE)
    return ascii_host.lower()


def _parameters(query: str, kind: str) -> tuple[tuple[str, str], ...]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=20)
    except ValueError as error:
        raise _bad(
            "The part after the question mark cannot be read. Write it as name=value&name=value."
        ) from error
    allowed = PARAMETERS[kind]
    if any(name not in allowed for name, _ in pairs) or len({name for name, _ in pairs}) < len(pairs):
        offered = f"After its question mark you can use, once each: {', '.join(sorted(allowed))}."
        raise _bad(
            "This address has a parameter that is not supported. "
            + (offered if allowed else "This kind has no parameters.")
        )
    if any(_CONTROL.search(value) for _, value in pairs):
        raise _bad("An address cannot contain control characters.")
    return tuple(pairs)


def _decoded(part: str) -> str:
    decoded = unquote(part)
    if _CONTROL.search(decoded):
        raise _bad("An address cannot contain control characters.")
    return decoded


def _bad(sentence: str) -> Invalid:
    return Invalid({"address": [sentence]})
