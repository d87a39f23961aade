"""Whose tenant a domain is: Microsoft's public OpenID configuration needs no secret (docs/microsoft-graph.md, 1.4)."""

from __future__ import annotations

import re

import requests

from portal.errors import SourceAuthError, SourceTransient
from portal.graph.clouds import Cloud
from portal.graph.explain import CODES, aadsts, token_error

TIMEOUT = (5, 10)
_ISSUER = re.compile(r"https://[^/]+/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/", re.IGNORECASE)


def directory_of(cloud: Cloud, domain: str) -> str:
    """The tenant ID, lower case, that ``domain`` belongs to in this cloud. Raises SourceAuthError or SourceTransient."""
    try:
        answer = requests.get(
            f"{cloud.login_url}/{domain}/v2.0/.well-known/openid-configuration",
            timeout=TIMEOUT,
            allow_redirects=False,
        )
        document = answer.json()
    except requests.RequestException as error:  # a body that is no JSON is one too
        raise SourceTransient(
            "Microsoft's sign-in cannot be reached over HTTPS. Try again in a minute.", code="unreachable"
        ) from error
    document = document if isinstance(document, dict) else {}
    named = _ISSUER.match(str(document.get("issuer", "")))
    if answer.status_code == 200 and named is not None:
        return named[1].lower()
    if aadsts(document) is None and answer.status_code < 500 and answer.status_code != 429:
        raise SourceAuthError(f"{CODES[90002].text} (AADSTS90002)", code="AADSTS90002")
    raise token_error(document)
