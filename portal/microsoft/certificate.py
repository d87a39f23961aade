"""The certificate of an app registration, with its private key, read from PEM (C1)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Certificate:
    """A certificate with its private key, both PEM, as MSAL takes them; ``expires_at`` is read from it."""

    private_key: str = field(repr=False)
    public_certificate: str
    expires_at: datetime

    @classmethod
    def parse(cls, pem: str) -> Certificate:
        """Read a PEM text with both halves. Raises ValueError with a sentence that says which half is wrong."""
        match = _CERTIFICATE.search(pem)
        if match is None:
            raise ValueError(
                "There is no certificate in this PEM file. It needs the certificate and its private key."
            )
        try:
            certificate = x509.load_pem_x509_certificate(match.group().encode())
        except ValueError as error:
            raise ValueError("The certificate in this PEM file cannot be read.") from error
        try:
            key = load_pem_private_key(pem.encode(), password=None)
        except (TypeError, ValueError) as error:
            raise ValueError(
                "There is no private key in this PEM file that can be read. It needs one without a passphrase."
            ) from error
        public = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if key.public_key().public_bytes(*public) != certificate.public_key().public_bytes(*public):
            raise ValueError("The private key does not belong to the certificate in this PEM file.")
        return cls(
            private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            public_certificate=match.group(),
            expires_at=certificate.not_valid_after_utc,
        )
