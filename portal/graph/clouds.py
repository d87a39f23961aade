"""The Microsoft clouds: one table of hosts (docs/microsoft-graph.md, 1.6). Nobody types a host: tokens go nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Cloud:
    """Bases without a trailing slash. is_known: MSAL may look the login host up at Microsoft."""

    name: str
    login_url: str
    graph_url: str
    label: str
    is_known: bool = True


CLOUDS = {
    "global": Cloud("global", "https://login.microsoftonline.com", "https://graph.microsoft.com", "Global"),
    "us_gov": Cloud(
        "us_gov", "https://login.microsoftonline.us", "https://graph.microsoft.us", "US Government (GCC High)"
    ),
    "us_dod": Cloud(
        "us_dod", "https://login.microsoftonline.us", "https://dod-graph.microsoft.us", "US Government (DoD)"
    ),
    "china": Cloud(
        "china",
        "https://login.partner.microsoftonline.cn",
        "https://microsoftgraph.chinacloudapi.cn",
        "China (21Vianet)",
    ),
}
DEFAULT = "global"


def registered_in(name: str) -> str:
    """The cloud whose app registration serves ``name``: one is made at each login host, US Gov's serves the DoD too."""
    return next(cloud.name for cloud in CLOUDS.values() if cloud.login_url == CLOUDS[name].login_url)


REGISTRATIONS = {
    home: " and ".join(cloud.label for cloud in CLOUDS.values() if registered_in(cloud.name) == home)
    for home in dict.fromkeys(map(registered_in, CLOUDS))
}
"""Clouds that need an app registration of their own, each with the names of those it serves."""


def cloud(name: str, *, login_url: str = "", graph_url: str = "") -> Cloud:
    """The cloud called ``name``; the two URLs replace the default cloud's bases, for a local simulator.

    Raises KeyError for an unknown name and ValueError for a URL that is not HTTPS.
    """
    known_cloud = CLOUDS[name]
    if name != DEFAULT or not (login_url or graph_url):
        return known_cloud
    for url in (login_url, graph_url):
        if url and (urlsplit(url).scheme != "https" or not urlsplit(url).hostname):
            raise ValueError("Microsoft's addresses must be https:// URLs")
    return Cloud(
        name,
        (login_url or known_cloud.login_url).rstrip("/"),
        (graph_url or known_cloud.graph_url).rstrip("/"),
        known_cloud.label,
        is_known=False,
    )
