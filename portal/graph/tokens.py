"""App-only tokens per Microsoft Tenant through MSAL (docs/microsoft-graph.md, 1.2 and 1.7)."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

import jwt
import msal
import requests
from msal.exceptions import MsalServiceError

from portal.errors import SourceAuthError, SourceError, SourceTransient
from portal.graph.clouds import Cloud
from portal.graph.connections import login_session
from portal.graph.explain import aadsts, token_error

TIMEOUT_SECONDS = 20
THROTTLED = frozenset({50196, 90055})
"""The portal asks too often: to ask again at once would make it worse (docs/microsoft-graph.md, 1.5)."""

Credential = str | Mapping[str, str]
"""A client secret, or ``{"private_key": PEM, "public_certificate": PEM}``."""


class TokenProvider:
    """Tokens for one tenant. Keep it: MSAL's cache and its connection live inside. Threads may share it."""

    def __init__(self, *, cloud: Cloud, directory_id: str, client_id: str, credential: Credential) -> None:
        self._cloud, self._directory_id = cloud, directory_id
        self._client_id, self._credential = client_id, credential
        self._app: Any = None
        self._lock = threading.Lock()

    def token(self) -> str:
        """A valid access token. Raises SourceAuthError or SourceTransient, in words.

        A refusal is not kept: MSAL would repeat it for a minute, though what it is about may be
        repaired by then. Only that the portal asks too often is: MSAL knows until when (G5).
        """
        with self._lock:
            app = self._build()
            try:
                result: dict[str, Any] = app.acquire_token_for_client(
                    scopes=[f"{self._cloud.graph_url}/.default"]
                )
            except (
                MsalServiceError
            ) as error:  # 5xx: kept, since it knows how long Microsoft asks to wait (G5)
                raise _unreachable() from error
            except Exception as error:  # MSAL raises its own, requests' and plain ones here
                self._app = None
                raise _unreachable() from error
            if "access_token" not in result and aadsts(result) not in THROTTLED:
                self._app = None
        if "access_token" not in result:
            raise token_error(result)
        return str(result["access_token"])

    def fresh(self) -> str:
        """A token from Microsoft now, not from a cache: MSAL replays a refusal for 60 seconds."""
        with self._lock:
            self._app = None
        return self.token()

    def forget(self) -> None:
        """Throw cached tokens away, after a 401."""
        with self._lock:
            self._app = None

    def _build(self) -> Any:
        if self._app is not None:
            return self._app
        try:
            self._app = msal.ConfidentialClientApplication(
                self._client_id,
                authority=f"{self._cloud.login_url}/{self._directory_id}",
                client_credential=self._credential,
                instance_discovery=None if self._cloud.is_known else False,
                http_client=_login(),
            )
        except requests.RequestException as error:
            raise _unreachable() from error
        except ValueError as error:
            if "authority" in str(error).lower():
                raise _undiscovered(str(error.__context__ or "")) from error
            raise SourceAuthError(
                "The portal's certificate or secret cannot be used. Enter it again in Settings."
            ) from error
        except Exception as error:
            raise _unreachable() from error
        return self._app


def _login() -> requests.Session:
    session = login_session()
    session.request = partial(session.request, timeout=TIMEOUT_SECONDS)  # type: ignore[method-assign]
    return session


def roles_of(token: str) -> frozenset[str] | None:
    """The application permissions a token carries: for diagnostics only. Empty means no consent.

    None for a token that cannot be read: its form is Graph's business and may change.
    """
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return None
    roles = claims.get("roles")
    return frozenset(str(role) for role in roles) if isinstance(roles, list) else frozenset()


def _undiscovered(description: str) -> SourceError:
    """Why the tenant's sign-in settings were refused: MSAL keeps the status and Microsoft's code in the error before."""
    number = aadsts({"error_description": description})
    if number is not None:
        return token_error({"error_codes": [number]})
    status = re.search(r"HTTP status: (\d+)", description)
    return SourceTransient(
        f"Microsoft's sign-in did not give its settings (HTTP {status[1] if status else 'error'}). Something in between may block it: "
        "check this server's proxy. The portal tries again by itself.",
        code=f"http {status[1]}" if status else "no settings",
    )


def _unreachable() -> SourceTransient:
    return SourceTransient(
        "Microsoft's sign-in cannot be reached over HTTPS. Check this server's network, proxy and REQUESTS_CA_BUNDLE; the portal tries again by itself.",
        code="unreachable",
    )
