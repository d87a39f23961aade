"""The portal's app registrations (C1): the default cloud's from the environment, which wins, or from Settings, encrypted.

A national cloud knows nothing of another's app registrations: each has its own, kept by Settings alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import audit
from portal.clock import utcnow
from portal.config import Settings
from portal.crypto import SecretBox
from portal.errors import Invalid, NeedsAdmin, Refused
from portal.graph.clouds import CLOUDS, DEFAULT, REGISTRATIONS, registered_in
from portal.microsoft.certificate import Certificate
from portal.models import MicrosoftTenant, StoredSetting
from portal.models.microsoft import IS_CONNECTED
from portal.text import is_guid, text_key

KEY = "microsoft"


@dataclass(frozen=True)
class AppRegistration:
    """What proves the portal to Microsoft. Exactly one of ``secret`` and ``certificate`` is set.

    source: "environment" or "settings". version changes with every part of it: token caches are keyed by it.
    expires_at: the certificate's own end, or what the administrator typed for a secret (docs/microsoft-graph.md, 1.1);
    None unknown.
    """

    client_id: str
    source: str
    secret: str | None = field(default=None, repr=False)
    certificate: Certificate | None = None
    expires_at: datetime | None = None

    @property
    def version(self) -> str:
        """A fingerprint of id and credential that reveals neither."""
        credential = self.secret or (self.certificate.private_key if self.certificate else "")
        return sha256(f"{self.client_id}\0{credential}".encode()).hexdigest()[:16]

    @property
    def msal_credential(self) -> str | dict[str, str]:
        """The credential in MSAL's form."""
        if self.certificate is None:
            return self.secret or ""
        return {
            "private_key": self.certificate.private_key,
            "public_certificate": self.certificate.public_certificate,
        }


@dataclass(frozen=True)
class Overview:
    """What a page may show of the app registration. kind: "secret" | "certificate" | "" when there is none."""

    client_id: str = ""
    source: str = ""
    kind: str = ""
    expires_at: datetime | None = None


def key_of(cloud: str) -> str:
    """The setting that keeps the app registration which serves ``cloud``."""
    home = registered_in(cloud)
    return KEY if home == DEFAULT else f"{KEY}:{home}"


def load(session: Session, settings: Settings, box: SecretBox, cloud: str = DEFAULT) -> AppRegistration:
    """The app registration for ``cloud``. Raises NeedsAdmin with the step to do when there is none or it cannot be used."""
    registration = from_environment(settings) if cloud == DEFAULT else None
    registration = registration or from_settings(session, box, cloud)
    if registration is None and cloud != DEFAULT:
        raise NeedsAdmin(missing(cloud))
    if registration is None:
        raise NeedsAdmin(
            "The portal has no Microsoft app registration yet. Enter the client ID and a secret or certificate in "
            "Settings, Microsoft connection, or set MICROSOFT_CLIENT_ID and MICROSOFT_CLIENT_SECRET."
        )
    return registration


def missing(cloud: str) -> str:
    """Why a national cloud cannot be used yet, and what to do."""
    return (
        f"The portal has no app registration in Microsoft's cloud {CLOUDS[cloud].label} yet, and that of another cloud "
        f"does not work there. Register the app in that cloud, and enter it in Settings, Microsoft connection, "
        f"{REGISTRATIONS[registered_in(cloud)]}."
    )


def from_environment(settings: Settings) -> AppRegistration | None:
    """The registration of MICROSOFT_CLIENT_ID and its credential; None without a client id. Raises NeedsAdmin for half of it."""
    if not settings.client_id:
        return None
    expires_at = None
    if settings.certificate_file is not None:
        certificate = _read_certificate(settings.certificate_file)
        expires_at = certificate.expires_at
        return AppRegistration(
            settings.client_id, "environment", certificate=certificate, expires_at=expires_at
        )
    secret = settings.client_secret.get_secret_value()
    if not secret:
        raise NeedsAdmin(
            "MICROSOFT_CLIENT_ID is set, but neither MICROSOFT_CLIENT_SECRET nor MICROSOFT_CERTIFICATE_FILE. "
            "Set one of them and restart the portal."
        )
    return AppRegistration(settings.client_id, "environment", secret=secret)


def from_settings(session: Session, box: SecretBox, cloud: str = DEFAULT) -> AppRegistration | None:
    """The registration that Settings stores, or None. Raises CannotDecrypt if the key no longer opens it."""
    key = key_of(cloud)
    row = session.get(StoredSetting, key)
    if row is None or not row.value.get("client_id") or not row.secret:
        return None
    stored = json.loads(box.decrypt(row.secret, purpose=f"settings:{key}"))
    client_id = str(row.value["client_id"])
    if stored.get("certificate"):
        certificate = Certificate.parse(stored["certificate"])
        return AppRegistration(
            client_id, "settings", certificate=certificate, expires_at=certificate.expires_at
        )
    return AppRegistration(
        client_id, "settings", secret=stored["secret"], expires_at=_moment(row.value.get("expires_at"))
    )


def overview(session: Session, settings: Settings, cloud: str = DEFAULT) -> Overview:
    """The registration of ``cloud`` without opening its secret: works without the key too."""
    if settings.client_id and cloud == DEFAULT:
        kind = "certificate" if settings.certificate_file else "secret"
        expires_at = _certificate_end(settings.certificate_file)
        if kind == "secret":
            expires_at = _noted_end(session, settings)
        return Overview(settings.client_id, "environment", kind, expires_at)
    row = session.get(StoredSetting, key_of(cloud))
    if row is None or not row.value.get("client_id"):
        return Overview()
    return Overview(
        str(row.value["client_id"]),
        "settings",
        str(row.value.get("kind", "")),
        _moment(row.value.get("expires_at")),
    )


def overviews(session: Session, settings: Settings) -> dict[str, Overview]:
    """``overview`` of every cloud that needs an app registration of its own, the default cloud's first."""
    return {home: overview(session, settings, home) for home in REGISTRATIONS}


def store(
    session: Session,
    box: SecretBox,
    *,
    client_id: str,
    cloud: str = DEFAULT,
    secret: str = "",
    certificate_pem: str = "",
    expires_at: datetime | None = None,
) -> StoredSetting:
    """Keep an app registration in Settings, encrypted. Blank secret and certificate keep the stored credential.

    Raises Invalid on ``client_id``, ``secret`` or ``certificate``. Records the change; the caller commits.
    """
    key, client_id, secret = key_of(cloud), text_key(client_id), secret.strip()
    stored = session.get(StoredSetting, key)
    certificate = _checked(
        client_id, secret, certificate_pem, is_kept=stored is not None and bool(stored.secret)
    )
    row = StoredSetting.obtain(session, key, utcnow())
    value = {**row.value, "client_id": client_id}
    changes = [name for name in ("client_id",) if row.value.get(name) != client_id]
    if secret or certificate is not None:
        kind = "secret" if certificate is None else "certificate"
        value["kind"] = kind
        row.secret = box.encrypt(
            json.dumps({"secret": secret} if certificate is None else {"certificate": certificate_pem}),
            purpose=f"settings:{key}",
        )
        changes.append(kind)
    end = certificate.expires_at if certificate is not None else expires_at
    if value.get("kind") == "certificate" and certificate is None:
        end = None  # the certificate says it itself
    if end is not None or secret:
        value["expires_at"] = None if end is None else end.isoformat()
    row.value = value
    _changed(session, row, changes)
    return row


def _checked(client_id: str, secret: str, certificate_pem: str, *, is_kept: bool) -> Certificate | None:
    """The certificate that was entered, if any. Raises Invalid as ``store``; ``is_kept``: a credential is stored already."""
    errors: dict[str, list[str]] = {}
    if not is_guid(client_id):
        errors["client_id"] = ["The client ID is a GUID such as 1b4e28ba-2fa1-4d2b-883f-0016d3cca427."]
    if secret and certificate_pem.strip():
        errors["secret"] = ["Enter a secret or a certificate, not both."]
    elif secret and is_guid(secret.lower()):
        errors["secret"] = [
            "This looks like the Secret ID. Paste the secret's Value: Microsoft shows it only once."
        ]
    certificate: Certificate | None = None
    if certificate_pem.strip():
        try:
            certificate = Certificate.parse(certificate_pem)
        except ValueError as error:
            errors["certificate"] = [str(error)]
    if not errors and not secret and certificate is None and not is_kept:
        errors["secret"] = ["Enter the client secret's Value, or upload a certificate."]
    if errors:
        raise Invalid(errors)
    return certificate


def served_by(session: Session, cloud: str) -> list[MicrosoftTenant]:
    """The Microsoft Tenants that are read with the app registration which serves ``cloud``, by name."""
    clouds = [name for name in CLOUDS if registered_in(name) == registered_in(cloud)]
    return list(
        session.scalars(
            select(MicrosoftTenant)
            .where(IS_CONNECTED, MicrosoftTenant.cloud.in_(clouds))
            .order_by(MicrosoftTenant.name)
        )
    )


def forget(session: Session, cloud: str) -> None:
    """Delete a stored app registration with its credential. Raises Refused while a Microsoft Tenant is read with it.

    Records the change; the caller commits.
    """
    present = served_by(session, cloud)
    if present:
        raise Refused(
            f"{present[0].name}{f' and {len(present) - 1} more' if present[1:] else ''} cannot be read without it. "
            "Remove the Microsoft tenants first, or enter another app registration in its place."
        )
    row = session.get(StoredSetting, key_of(cloud))
    if row is None or not row.value.get("client_id"):
        return
    row.value = {name: value for name, value in row.value.items() if name == "environment"}
    row.secret = None
    _changed(session, row, ["removed"])


def note_end(session: Session, settings: Settings, expires_at: datetime | None) -> None:
    """Store the day on which the secret of the environment expires: Microsoft does not provide it.

    It holds for this secret only: with another one the day is unknown again. The caller commits.
    """
    row = StoredSetting.obtain(session, KEY, utcnow())
    noted = {
        "version": _environment_version(settings),
        "expires_at": None if expires_at is None else expires_at.isoformat(),
    }
    row.value = {**row.value, "environment": noted}
    _changed(session, row, ["expires_at"])


def _changed(session: Session, row: StoredSetting, changes: list[str]) -> None:
    row.updated_at, row.updated_by = utcnow(), audit.current_actor().name
    audit.record(
        session, "microsoft_settings_changed", object_type="settings", object_id=row.key, changes=changes
    )
    session.flush()


def _noted_end(session: Session, settings: Settings) -> datetime | None:
    row = session.get(StoredSetting, KEY)
    noted = {} if row is None else row.value.get("environment") or {}
    return (
        _moment(noted.get("expires_at")) if noted.get("version") == _environment_version(settings) else None
    )


def _environment_version(settings: Settings) -> str:
    secret = settings.client_secret.get_secret_value()
    return AppRegistration(settings.client_id, "environment", secret=secret).version


def _read_certificate(path: Path) -> Certificate:
    try:
        return Certificate.parse(path.read_text(encoding="ascii", errors="replace"))
    except OSError as error:
        raise NeedsAdmin(
            f"MICROSOFT_CERTIFICATE_FILE: {path} cannot be read ({error.strerror}). Check its path and its mode."
        ) from error
    except ValueError as error:
        raise NeedsAdmin(f"MICROSOFT_CERTIFICATE_FILE: {path}: {error}") from error


def _certificate_end(path: Path | None) -> datetime | None:
    if path is None:
        return None
    try:
        return _read_certificate(path).expires_at
    except NeedsAdmin:
        return None


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str) or not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
