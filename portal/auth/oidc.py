"""Sign-in with Microsoft: MSAL's authorization-code flow with PKCE, and our own verification of the id_token.

MSAL checks state and nonce but, since 1.38, accepts any id_token (docs/microsoft-graph.md, 1.8). Here the signature,
algorithm, audience, issuer, life and tenant are checked. People are known by tid + oid; addresses are claims
that the administrator of *another* tenant can choose, and decide nothing.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
import msal
import requests

from portal.auth.discovery import AGAIN, MAX_AGE, Discovery
from portal.errors import PortalError
from portal.graph.explain import CODES, aadsts

# The answer comes by a GET on purpose: a form posted from Microsoft's page would come without our SameSite=Lax cookie.
warnings.filterwarnings("ignore", message="response_mode='form_post'", category=UserWarning)

CONSUMER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
SCOPES = ["User.Read"]


class SignInFailed(PortalError):
    """Microsoft or our own check refused the sign-in; the sentence says what to do."""


@dataclass(frozen=True)
class MicrosoftIdentity:
    """Who signed in. ``name`` and ``email`` are for display only."""

    tid: str
    oid: str
    name: str
    email: str


@dataclass(frozen=True)
class SignInApp:
    """The app registration used for sign-in, and which tenants may: their GUIDs in lower case."""

    login_url: str
    client_id: str
    credential: str | Mapping[str, str]
    tenants: tuple[str, ...]
    discovery: Discovery = field(default_factory=Discovery, compare=False, repr=False)

    def begin(self, redirect_uri: str) -> dict[str, Any]:
        """Start a flow; keep the result in the session, once, and send the browser to its ``auth_uri``."""
        try:
            flow: dict[str, Any] = self._msal().initiate_auth_code_flow(
                SCOPES, redirect_uri=redirect_uri, prompt="select_account", response_mode="query"
            )
        except Exception as error:  # as below
            raise SignInFailed(
                "Microsoft's sign-in cannot be reached. Try again in a minute, or use your password."
            ) from error
        return flow

    def finish(self, flow: dict[str, Any] | None, answer: Mapping[str, str]) -> MicrosoftIdentity:
        """Exchange the code and verify the identity. Raises SignInFailed."""
        if not flow:
            raise SignInFailed("This sign-in was used already or took too long. Start again.")
        try:
            result = self._msal().acquire_token_by_auth_code_flow(flow, dict(answer))
        except (ValueError, RuntimeError) as error:
            raise SignInFailed(
                "This sign-in does not belong to this browser, or was used already. Start again."
            ) from error
        except Exception as error:  # MSAL raises its own, requests' and plain ones here
            raise SignInFailed("Microsoft's sign-in cannot be reached. Try again in a minute.") from error
        if "id_token" not in result:
            raise SignInFailed(_refusal(result))
        return verify(
            result["id_token"],
            keys=self._keys_for(result["id_token"]),
            login_url=self.login_url,
            client_id=self.client_id,
            tenants=self.tenants,
        )

    def _authority(self) -> str:
        return f"{self.login_url}/{self.tenants[0] if len(self.tenants) == 1 else 'organizations'}"

    def _msal(self) -> Any:
        return msal.ConfidentialClientApplication(
            self.client_id,
            authority=self._authority(),
            client_credential=self.credential,
            instance_discovery=False,
            http_client=self.discovery,
        )

    def _keys_for(self, token: str) -> jwt.PyJWKSet:
        """Microsoft's keys; read again if the one that signed ``token`` is not cached."""
        keys = self._keys(MAX_AGE)
        try:
            signed_by = jwt.get_unverified_header(token).get("kid")
        except jwt.PyJWTError:
            return keys  # ``verify`` refuses it
        return keys if signed_by in {key.key_id for key in keys.keys} else self._keys(AGAIN)

    def _keys(self, max_age: float) -> jwt.PyJWKSet:
        try:
            answer = self.discovery.get(f"{self._authority()}/discovery/v2.0/keys", max_age=max_age)
            answer.raise_for_status()
            return jwt.PyJWKSet.from_dict(answer.json())
        except (requests.RequestException, ValueError, jwt.PyJWTError) as error:
            raise SignInFailed("Microsoft's signing keys cannot be read. Try again in a minute.") from error


def _refusal(result: Mapping[str, Any]) -> str:
    """What Microsoft's refusal means, in words; a refusal of its login page has the number in its description only."""
    number = aadsts(result)
    explained = CODES.get(number) if number is not None else None
    if explained is not None:
        return f"Microsoft refused the sign-in. {explained.text} (AADSTS{number})"
    code = (
        f"AADSTS{number}" if number is not None else re.sub(r"[^\w.-]", "", str(result.get("error", "")))[:60]
    )
    return f"Microsoft refused the sign-in ({code}). Start again. If this continues, ask your administrator."


def verify(
    token: str, *, keys: jwt.PyJWKSet, login_url: str, client_id: str, tenants: Collection[str]
) -> MicrosoftIdentity:
    """Check an id_token and say whose it is. Raises SignInFailed for anything that is not exactly right."""
    try:
        header = jwt.get_unverified_header(token)
        key = keys[header["kid"]]
        claims = jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            audience=client_id,
            leeway=60,
            options={"require": ["exp", "iat", "aud", "iss", "tid", "oid"]},
        )
    except (jwt.PyJWTError, KeyError) as error:
        raise SignInFailed("Microsoft's answer could not be verified. Start again.") from error
    tid, oid = str(claims["tid"]).lower(), str(claims["oid"]).lower()
    if claims["iss"] != f"{login_url}/{claims['tid']}/v2.0":
        raise SignInFailed("Microsoft's answer names another issuer. Start again.")
    if tid == CONSUMER_TENANT or tid not in {tenant.lower() for tenant in tenants}:
        raise SignInFailed(
            "Accounts of this Microsoft tenant may not sign in here. Use an account of your own organization."
        )
    return MicrosoftIdentity(
        tid=tid, oid=oid, name=str(claims.get("name", "")), email=str(claims.get("preferred_username", ""))
    )
