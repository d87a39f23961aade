"""Our own check of id_tokens (docs/microsoft-graph.md, 1.8): anything not exactly right is refused."""

import time

import jwt
import msal
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from portal.auth.oidc import CONSUMER_TENANT, SignInApp, SignInFailed, verify

LOGIN = "https://login.microsoftonline.com"
TENANT = "6b1f0f5e-1111-4c2a-9d1e-0a1b2c3d4e5f"
CLIENT = "11111111-2222-3333-4444-555555555555"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(key):
    return {
        **jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True),
        "kid": "k1",
        "use": "sig",
        "alg": "RS256",
    }


KEYS = jwt.PyJWKSet.from_dict({"keys": [jwk(KEY)]})


def claims(**changes):
    now = int(time.time())
    found = {
        "aud": CLIENT,
        "iss": f"{LOGIN}/{TENANT}/v2.0",
        "iat": now,
        "nbf": now,
        "exp": now + 600,
        "tid": TENANT,
        "oid": "AAAA0000-0000-4000-8000-000000000001",
        "name": "Mila",
        "preferred_username": "mila@x.example",
    }
    found.update(changes)
    return {name: value for name, value in found.items() if value is not None}


def token(*, key=KEY, algorithm="RS256", kid="k1", **changes):
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": kid})


def check(text, tenants=(TENANT,)):
    return verify(text, keys=KEYS, login_url=LOGIN, client_id=CLIENT, tenants=tenants)


def test_P10_a_good_token_says_who_it_is():
    found = check(token())
    assert (found.tid, found.oid, found.name) == (TENANT, "aaaa0000-0000-4000-8000-000000000001", "Mila")


@pytest.mark.parametrize(
    "text",
    [
        token(key=OTHER_KEY),
        token(kid="k2"),
        token(key="", algorithm="none"),
        token(key="a shared secret of some length that HS256 takes", algorithm="HS256"),
        token(aud="another app"),
        token(iss=f"{LOGIN}/{CONSUMER_TENANT}/v2.0"),
        token(iss=f"https://evil.example/{TENANT}/v2.0"),
        token(exp=int(time.time()) - 3600, iat=int(time.time()) - 7200),
        token(iat=int(time.time()) + 3600),
        token(nbf=int(time.time()) + 3600),
        token(tid=None),
        token(oid=None),
        token(exp=None),
        token()[:-4] + "AAAA",
        "no token",
        "",
    ],
)
def test_P10_a_forged_or_stale_token_is_refused(text):
    with pytest.raises(SignInFailed):
        check(text)


@pytest.mark.parametrize("tenant", [CONSUMER_TENANT, "99999999-0000-4000-8000-000000000000"])
def test_P10_another_tenants_people_are_refused(tenant):
    with pytest.raises(SignInFailed, match="may not sign in here"):
        check(token(tid=tenant, iss=f"{LOGIN}/{tenant}/v2.0"))
    with pytest.raises(SignInFailed):
        check(token(tid=CONSUMER_TENANT, iss=f"{LOGIN}/{CONSUMER_TENANT}/v2.0"), tenants=(CONSUMER_TENANT,))


class Refusing:
    """Stands for MSAL: refuses, or breaks as it does on a 5xx answer."""

    def __init__(self, answer):
        self._answer = answer

    def acquire_token_by_auth_code_flow(self, _flow, _answer):
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"error": "access_denied", "error_description": "AADSTS50105: not assigned"}, "(AADSTS50105)"),
        ({"error": "invalid_client", "error_codes": [7000222]}, "has expired"),
        ({"error": "access_denied", "error_description": "The user cancelled."}, "(access_denied)"),
        ({"error": "x", "error_description": "AADSTS99999: new"}, "(AADSTS99999)"),
        (
            msal.exceptions.MsalServiceError(error="server_error", error_description="HTTP 503"),
            "cannot be reached",
        ),
    ],
)
def test_C4_a_refused_sign_in_is_told_in_words(monkeypatch, answer, told):
    monkeypatch.setattr(SignInApp, "_msal", lambda _self: Refusing(answer))
    with pytest.raises(SignInFailed) as caught:
        SignInApp(LOGIN, CLIENT, "secret", (TENANT,)).finish({"state": "x"}, {})
    assert told in caught.value.advice
