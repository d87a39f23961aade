"""What only one file may do: speak htmx, read the environment, read the clock, use the network."""

from __future__ import annotations

import re

from tests.architecture.source import Module, portal_modules, within

# File by file: a new entry needs a reason at least as good as these.
NETWORK = ("portal.graph", "portal.auth.oidc", "portal.auth.discovery", "portal.alerts.delivery")
CLIENTS = (
    "requests",
    "msal",
    "urllib.request",
    "urllib3",
    "http.client",
    "httpx",
    "aiohttp",
    "smtplib",
    "apprise",
)
CLOCK = re.compile(r"(^|\.)(datetime\.(now|utcnow|today)|date\.today|time\.(time|time_ns|localtime|gmtime))$")
CLOCK_IMPORTS = {f"time.{name}" for name in ("time", "time_ns", "localtime", "gmtime")}


def others(*packages: str) -> list[Module]:
    return [module for module in portal_modules() if not module.is_in(*packages)]


def test_only_web_spells_htmx_headers() -> None:
    found = [
        f"{module.path}:{line}"
        for module in others("portal.http.responses")
        for line, text in module.strings()
        if "hx-" in text.lower() and text.startswith(("HX-", "hx-", "Hx-"))
    ]
    assert found == []


def test_only_config_reads_the_environment() -> None:
    doors = {"os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv"}
    found = [
        f"{module.path}:{line} {name}"
        for module in others("portal.config")
        for line, name in (*module.attributes(), *module.imports())
        if name in doors
    ]
    assert found == []


def test_only_clock_reads_the_time() -> None:
    """``time.monotonic`` is free: it measures how long something took, and decides nothing."""
    found = [
        f"{module.path}:{line} {name}"
        for module in others("portal.clock", "simulator")
        for line, name in (
            *module.attributes(),
            *((at, n) for at, n in module.imports() if n in CLOCK_IMPORTS),
        )
        if CLOCK.search(name)
    ]
    assert found == []


def test_only_the_gateway_sign_in_and_alerts_use_the_network() -> None:
    found = [
        f"{module.path}:{line} imports {name}"
        for module in others(*NETWORK, "simulator")
        for line, name in module.imports()
        if within(name, *CLIENTS)
    ]
    assert found == []


def test_only_the_gateway_constructs_a_session_of_requests() -> None:
    makers = [
        module.path
        for module in portal_modules()
        if module.is_in("portal.graph")
        for _line, name in module.attributes()
        if name == "requests.Session"
    ]
    assert set(makers) <= {"portal/graph/client.py", "portal/graph/connections.py", "portal/graph/tokens.py"}


def test_nothing_switches_certificate_checks_off() -> None:
    import ast

    found = [
        f"{module.path}:{node.value.lineno}"
        for module in portal_modules()
        for node in module.nodes(ast.keyword)
        if node.arg == "verify" and isinstance(node.value, ast.Constant) and node.value.value is False
    ]
    assert found == []
