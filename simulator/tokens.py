"""Signed tokens: the login service's own keys, the tokens it issued, and clients' certificate assertions."""

from __future__ import annotations

import base64
import functools
import hashlib
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from simulator.messages import LoginError, utc_now

Claims = dict[str, Any]


def base64url(data: bytes) -> str:
    """Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """The bytes of unpadded base64url. Raises ValueError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@functools.cache
def signing_key() -> rsa.RSAPrivateKey:
    """The login service's key; one for the life of the process."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def client_certificate() -> tuple[str, str]:
    """A private key and its self-signed certificate for the app registration, as two PEM texts."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Rollcall")])
    now = utc_now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_id() -> str:
    """The ``kid`` of the signing key."""
    numbers = signing_key().public_key().public_numbers()
    return base64url(hashlib.sha256(str(numbers.n).encode()).digest()[:20])


def key_set() -> dict[str, Any]:
    """The JSON Web Key Set that verifies what we sign."""
    numbers = signing_key().public_key().public_numbers()
    modulus = numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
    exponent = numbers.e.to_bytes(3, "big")
    key = {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": key_id(),
        "n": base64url(modulus),
        "e": base64url(exponent),
    }
    return {"keys": [key]}


def sign(claims: Mapping[str, Any]) -> str:
    """A JWT of the claims, RS256."""
    header = {"typ": "JWT", "alg": "RS256", "kid": key_id()}
    content = f"{base64url(orjson.dumps(header))}.{base64url(orjson.dumps(dict(claims)))}"
    signature = signing_key().sign(content.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{content}.{base64url(signature)}"


@dataclass(frozen=True, slots=True)
class Issued:
    """An access token we issued: whose it is and until when."""

    tenant_id: str
    client_id: str
    audience: str
    roles: frozenset[str]
    issued_at: datetime
    expires_at: datetime


class TokenBook:
    """Every access token issued so far; Graph knows no others."""

    def __init__(self) -> None:
        self._issued: dict[str, Issued] = {}
        self._lock = threading.Lock()

    def issue(self, issued: Issued, **more: Any) -> str:
        """Sign an access token and remember it."""
        claims: Claims = {
            "aud": issued.audience,
            "iss": f"https://sts.windows.net/{issued.tenant_id}/",
            "iat": int(issued.issued_at.timestamp()),
            "nbf": int(issued.issued_at.timestamp()),
            "exp": int(issued.expires_at.timestamp()),
            "appid": issued.client_id,
            "idtyp": "app",
            "tid": issued.tenant_id,
            "uti": uuid.uuid4().hex[:22],
            "ver": "1.0",
            **more,
        }
        if issued.roles:
            claims["roles"] = sorted(issued.roles)
        token = sign(claims)
        with self._lock:
            self._issued[token] = issued
        return token

    def find(self, token: str) -> Issued | None:
        """What a token stands for; None when we never issued it."""
        return self._issued.get(token)


def check_assertion(assertion: str, *, client_id: str, audiences: set[str], certificates: list[str]) -> None:
    """Verify a client assertion. Raises LoginError with the number Microsoft answers."""
    try:
        head, body, tail = assertion.split(".")
        header: Claims = orjson.loads(from_base64url(head))
        claims: Claims = orjson.loads(from_base64url(body))
        signature = from_base64url(tail)
    except ValueError:
        raise LoginError(9002313) from None
    certificate = _registered(header, certificates)
    if certificate is None:
        raise LoginError(700027, reason="The key was not found.")
    if certificate.not_valid_after_utc < utc_now():
        raise LoginError(700027, reason="The key used is expired.")
    _verify(header, f"{head}.{body}".encode(), signature, certificate)
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise LoginError(700021)
    if claims.get("aud") not in audiences:
        raise LoginError(700023)
    now = utc_now().timestamp()
    expires, starts = claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(expires, int | float) or not isinstance(starts, int | float):
        raise LoginError(9002313)
    if expires < now or starts > now + 300:
        raise LoginError(700024, now=datetime.fromtimestamp(now, UTC).isoformat())


def _registered(header: Claims, certificates: list[str]) -> x509.Certificate | None:
    thumbprints = {header.get("x5t#S256"), header.get("x5t")} - {None}
    for pem in certificates:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        sha256 = base64url(certificate.fingerprint(hashes.SHA256()))
        sha1 = base64url(certificate.fingerprint(hashes.SHA1()))  # noqa: S303 - the x5t header is defined so
        if thumbprints & {sha256, sha1}:
            return certificate
    return None


def _verify(header: Claims, content: bytes, signature: bytes, certificate: x509.Certificate) -> None:
    key = certificate.public_key()
    scheme: padding.AsymmetricPadding
    if header.get("alg") == "PS256":
        scheme = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    elif header.get("alg") == "RS256":
        scheme = padding.PKCS1v15()
    else:
        raise LoginError(700027, reason="The signature algorithm is not supported.")
    if not isinstance(key, rsa.RSAPublicKey):
        raise LoginError(700027, reason="The key is not an RSA key.")
    try:
        key.verify(signature, content, scheme, hashes.SHA256())
    except InvalidSignature:
        raise LoginError(700027, reason="The signature is not valid.") from None
