"""Stored secrets: AES-GCM with the purpose as associated data, so that a ciphertext moved to another row does not open.

Format: ``v1:<key id>:<base64 of nonce + ciphertext>``. The key id lets old keys be kept while they are rotated out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from portal.errors import PortalError


class CannotDecrypt(PortalError):
    """The secret was encrypted with a key this process does not have, or the row was tampered with."""


class SecretBox:
    """Encrypts with the first key, decrypts with any of ``keys`` (texts of any length; AES keys are derived)."""

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys or not keys[0]:
            raise ValueError("at least one key is needed")
        derived = [_derived(key) for key in keys]
        self._keys = {hashlib.sha256(key).hexdigest()[:8]: AESGCM(key) for key in derived}
        self._current = hashlib.sha256(derived[0]).hexdigest()[:8]

    def encrypt(self, text: str, *, purpose: str) -> str:
        """Encrypt ``text`` for ``purpose`` (e.g. "settings:microsoft"); the same purpose opens it again."""
        nonce = secrets.token_bytes(12)
        sealed = self._keys[self._current].encrypt(nonce, text.encode(), purpose.encode())
        return f"v1:{self._current}:{base64.b64encode(nonce + sealed).decode()}"

    def decrypt(self, sealed: str, *, purpose: str) -> str:
        """Open what ``encrypt`` made. Raises CannotDecrypt with what to do."""
        try:
            version, key_id, body = sealed.split(":", 2)
            raw = base64.b64decode(body, validate=True)
            if version != "v1":
                raise ValueError(version)
            return self._keys[key_id].decrypt(raw[:12], raw[12:], purpose.encode()).decode()
        except (KeyError, ValueError, InvalidTag, binascii.Error) as error:
            raise CannotDecrypt(
                "A stored secret cannot be opened with the current ROLLCALL_SECRET_KEY. Put the previous key into "
                "ROLLCALL_OLD_SECRET_KEYS, or enter the secret again in Settings."
            ) from error

    def is_current(self, sealed: str) -> bool:
        """False when ``sealed`` was made with an old key and ought to be encrypted anew (key rotation)."""
        return sealed.startswith(f"v1:{self._current}:")


@cache
def _derived(key: str) -> bytes:
    return hashlib.scrypt(key.encode(), salt=b"rollcall/secrets", n=2**12, r=8, p=1, dklen=32)


def hash_token(token: str) -> str:
    """SHA-256 of a random token as hex: what is stored of session, API and invitation tokens."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> str:
    """A random URL-safe token of 256 bits."""
    return secrets.token_urlsafe(32)
