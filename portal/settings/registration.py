"""Creating the app registration, in the order in which a person does it, with the pages of the Entra admin center by name (C1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from portal.graph.clouds import DEFAULT

_ENTRA = "https://entra.microsoft.com/#view/Microsoft_AAD_RegisteredApps/"
_NEW = f"{_ENTRA}CreateApplicationBlade/quickStartType~/null/isMSAApp~/false"
_LIST = f"{_ENTRA}ApplicationsListBlade"


@dataclass(frozen=True)
class GuideStep:
    """One step. page: what the Entra admin center calls the page; link: its address, "" where it is not known.

    shows: manifest | callback | "" for what the page shows below the words.
    """

    page: str
    link: str
    words: str
    shows: str = ""


def steps(client_id: str, cloud: str) -> Sequence[GuideStep]:
    """The steps up to a client ID and a secret. With ``client_id`` the links lead to that registration."""

    def page(name: str) -> str:
        if cloud != DEFAULT:
            return ""  # other clouds have admin centers of their own
        return (
            f"{_ENTRA}ApplicationMenuBlade/~/{name}/appId/{quote(client_id, safe='')}" if client_id else _LIST
        )

    return (
        GuideStep(
            "App registrations, New registration",
            _NEW if cloud == DEFAULT else "",
            "Name it Rollcall. Under Supported account types choose “Accounts in any organizational directory”. "
            "Under Redirect URI choose Web and enter the address below. Press Register.",
            "callback",
        ),
        GuideStep(
            "Manifest",
            page("Manifest"),
            "Replace requiredResourceAccess with the part below and press Save. It lists the application permissions.",
            "manifest",
        ),
        GuideStep(
            "Certificates & secrets",
            page("Credentials"),
            "Press New client secret, and copy its Value at once: Microsoft shows it only now. Do not copy the Secret ID.",
        ),
        GuideStep(
            "Overview",
            page("Overview"),
            "Copy the Application (client) ID. Enter it below with the secret’s Value and the day on which the secret expires.",
        ),
    )
