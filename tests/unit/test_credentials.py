"""C1: the app registration from the environment, which wins, or from Settings, encrypted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from portal.config import Settings
from portal.crypto import SecretBox
from portal.errors import Invalid, NeedsAdmin
from portal.microsoft import credentials
from portal.microsoft.certificate import Certificate
from portal.models import AuditEvent, Base, StoredSetting

CLIENT = "1b4e28ba-2fa1-4d2b-883f-0016d3cca427"
OTHER = "2b4e28ba-2fa1-4d2b-883f-0016d3cca427"
END = datetime(2030, 5, 1, tzinfo=UTC)
BOX = SecretBox(["k" * 40])


@pytest.fixture
def session():
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


def pem(*, key=None, certificate_first: bool = True) -> str:
    own = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rollcall")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(own.public_key())
        .serial_number(1)
        .not_valid_before(END - timedelta(days=700))
        .not_valid_after(END)
        .sign(own, hashes.SHA256())
    )
    parts = [
        certificate.public_bytes(Encoding.PEM).decode(),
        (key or own).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    ]
    return "".join(parts if certificate_first else reversed(parts))


def settings(tmp_path: Path, **values: object) -> Settings:
    return Settings(data_dir=tmp_path, **values)


def test_C1_none_says_what_to_do(session: Session, tmp_path: Path) -> None:
    with pytest.raises(NeedsAdmin, match="Settings, Microsoft connection"):
        credentials.load(session, settings(tmp_path), BOX)
    assert credentials.overview(session, settings(tmp_path)) == credentials.Overview()


def test_C1_the_environment_wins(session: Session, tmp_path: Path) -> None:
    credentials.store(session, BOX, client_id=OTHER, secret="stored secret")
    found = credentials.load(session, settings(tmp_path, client_id=CLIENT, client_secret="s3cret"), BOX)
    assert (found.client_id, found.secret, found.source) == (CLIENT, "s3cret", "environment")


def test_C1_half_an_environment_is_refused(session: Session, tmp_path: Path) -> None:
    with pytest.raises(NeedsAdmin, match="MICROSOFT_CLIENT_SECRET"):
        credentials.load(session, settings(tmp_path, client_id=CLIENT), BOX)


def test_C1_a_stored_secret_is_encrypted_and_recorded(session: Session, tmp_path: Path) -> None:
    credentials.store(
        session, BOX, client_id=f"\ufeff {CLIENT.upper()}\u200b ", secret=" abc~123 ", expires_at=END
    )
    session.commit()
    row = session.get(StoredSetting, credentials.KEY)
    assert "abc~123" not in str(row.secret) + str(row.value)
    found = credentials.load(session, settings(tmp_path), BOX)
    assert (found.client_id, found.secret, found.expires_at) == (CLIENT, "abc~123", END)
    assert "abc~123" not in repr(found)
    assert session.query(AuditEvent).one().detail == {"changes": ["client_id", "secret"]}
    assert credentials.overview(session, settings(tmp_path)) == credentials.Overview(
        CLIENT, "settings", "secret", END
    )


def test_C1_a_blank_secret_keeps_the_stored_one(session: Session, tmp_path: Path) -> None:
    credentials.store(session, BOX, client_id=CLIENT, secret="abc")
    credentials.store(session, BOX, client_id=OTHER, expires_at=END)
    found = credentials.load(session, settings(tmp_path), BOX)
    assert (found.client_id, found.secret, found.expires_at) == (OTHER, "abc", END)


@pytest.mark.parametrize("certificate_first", [True, False])
def test_C1_a_certificate_tells_its_own_end(
    session: Session, tmp_path: Path, certificate_first: bool
) -> None:
    credentials.store(
        session, BOX, client_id=CLIENT, certificate_pem=pem(certificate_first=certificate_first)
    )
    found = credentials.load(session, settings(tmp_path), BOX)
    assert found.expires_at == END
    credential = found.msal_credential
    assert credential["private_key"].startswith("-----BEGIN PRIVATE KEY")
    assert credential["public_certificate"].startswith("-----BEGIN CERTIFICATE")


def test_C1_a_certificate_file_wins_over_the_secret(session: Session, tmp_path: Path) -> None:
    file = tmp_path / "app.pem"
    file.write_text(pem())
    env = settings(tmp_path, client_id=CLIENT, client_secret="s", certificate_file=file)
    assert credentials.load(session, env, BOX).certificate is not None
    assert credentials.overview(session, env).expires_at == END


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("nothing", "no certificate"), (pem().split("-----BEGIN PRIVATE")[0], "no private key")],
)
def test_C1_a_bad_certificate_is_explained(session: Session, text: str, sentence: str) -> None:
    with pytest.raises(Invalid) as caught:
        credentials.store(session, BOX, client_id=CLIENT, certificate_pem=text)
    assert sentence in caught.value.errors["certificate"][0]
    assert session.query(StoredSetting).count() == 0


def test_C1_a_key_of_another_certificate_is_refused() -> None:
    foreign = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with pytest.raises(ValueError, match="does not belong"):
        Certificate.parse(pem(key=foreign))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"client_id": "abc", "secret": "x"}, "client_id"),
        ({"client_id": CLIENT}, "secret"),
        ({"client_id": CLIENT, "secret": OTHER}, "secret"),  # the Secret ID instead of its Value
        ({"client_id": CLIENT, "secret": "x", "certificate_pem": "y"}, "secret"),
    ],
)
def test_C1_bad_input_names_its_field(session: Session, values: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        credentials.store(session, BOX, **values)
    assert field in caught.value.errors


def test_C1_the_version_changes_with_the_credential(session: Session, tmp_path: Path) -> None:
    first = settings(tmp_path, client_id=CLIENT, client_secret="a")
    second = settings(tmp_path, client_id=CLIENT, client_secret="b")
    assert credentials.load(session, first, BOX).version != credentials.load(session, second, BOX).version


def test_C5_a_typed_day_does_not_win_over_the_certificates_own_end(session, tmp_path):
    credentials.store(session, BOX, client_id=CLIENT, certificate_pem=pem())
    credentials.store(session, BOX, client_id=CLIENT, expires_at=END + timedelta(days=900))
    assert credentials.overview(session, settings(tmp_path)).expires_at == END
