"""Key rotation (C1): encrypt every stored secret again with the present ROLLCALL_SECRET_KEY."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import audit
from portal.crypto import CannotDecrypt, SecretBox
from portal.errors import PortalError
from portal.models import Account, StoredSetting


class CannotRotate(PortalError):
    """At least one secret opens with none of the keys; nothing was written."""


def rotate(session: Session, box: SecretBox) -> int:
    """Encrypt again what an old key sealed. Returns how many secrets that were (0: all were current).

    All or nothing, so that the old keys can be thrown away once it answers. Raises CannotRotate, naming each secret that
    no key opens. Records ``secrets_rotated``; the caller commits.
    """
    lost: list[str] = []
    sealed_anew = 0
    for row, column, purpose, label in stored_secrets(session):
        sealed = getattr(row, column)
        if box.is_current(sealed):
            continue
        try:
            setattr(row, column, box.encrypt(box.decrypt(sealed, purpose=purpose), purpose=purpose))
        except CannotDecrypt:
            lost.append(label)
        else:
            sealed_anew += 1
    if lost:
        session.rollback()
        raise CannotRotate(
            f"Nothing was changed, because these cannot be opened with any of the keys: {'; '.join(lost)}. Put the key they were "
            "encrypted with into ROLLCALL_OLD_SECRET_KEYS, enter them again in Settings, or remove them."
        )
    if sealed_anew:
        audit.record(session, "secrets_rotated", count=sealed_anew)
    return sealed_anew


def stored_secrets(session: Session) -> Iterator[tuple[StoredSetting | Account, str, str, str]]:
    """Every place a SecretBox ciphertext lives: row, column, purpose, and its name for people."""
    settings = select(StoredSetting).where(StoredSetting.secret.is_not(None)).order_by(StoredSetting.key)
    for setting in session.scalars(settings):
        yield setting, "secret", f"settings:{setting.key}", f"Settings, {setting.key}"
    accounts = select(Account).where(Account.totp_secret.is_not(None)).order_by(Account.email)
    for account in session.scalars(accounts):
        yield account, "totp_secret", f"totp:{account.id}", f"authenticator app of {account.email}"
