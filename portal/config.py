"""Settings, read once from the environment: the only file that touches it (README.md, "Settings").

A bad value stops the start with one line that names the variable (``ConfigError``).
"""

from __future__ import annotations

import os
import secrets
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from portal.operations.private_files import keep_file, keep_folder

KEY_LENGTH, KEY_LETTERS = 32, 10
"""A secret key has so many characters, and so many different ones: 16 random bytes in hexadecimal nearly always do."""


SECRET_FILES = {
    "ROLLCALL_SECRET_KEY_FILE": "ROLLCALL_SECRET_KEY",
    "ROLLCALL_OLD_SECRET_KEYS_FILE": "ROLLCALL_OLD_SECRET_KEYS",
    "ROLLCALL_DATABASE_URL_FILE": "ROLLCALL_DATABASE_URL",
    "MICROSOFT_CLIENT_SECRET_FILE": "MICROSOFT_CLIENT_SECRET",
}
"""What holds a secret may also stand in a file, as containers and systemd hand secrets over."""


class ConfigError(Exception):
    """An environment variable has a value that cannot be used; the message is one line and names it."""


class Settings(BaseModel):
    """All settings of a Rollcall process. Frozen; tests build it directly, ``load`` builds it from the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    data_dir: Annotated[Path, Field(alias="ROLLCALL_DATA_DIR")] = Path("instance")
    database_url: Annotated[str, Field(alias="ROLLCALL_DATABASE_URL")] = ""
    secret_key: Annotated[SecretStr, Field(alias="ROLLCALL_SECRET_KEY")] = SecretStr("")
    old_secret_keys: Annotated[SecretStr, Field(alias="ROLLCALL_OLD_SECRET_KEYS")] = SecretStr("")
    base_url: Annotated[str, Field(alias="ROLLCALL_BASE_URL")] = ""
    proxies: Annotated[int | None, Field(alias="ROLLCALL_PROXIES", ge=0, le=10)] = None
    client_id: Annotated[str, Field(alias="MICROSOFT_CLIENT_ID")] = ""
    client_secret: Annotated[SecretStr, Field(alias="MICROSOFT_CLIENT_SECRET")] = SecretStr("")
    certificate_file: Annotated[Path | None, Field(alias="MICROSOFT_CERTIFICATE_FILE")] = None
    login_url: Annotated[str, Field(alias="MICROSOFT_LOGIN_URL")] = ""
    graph_url: Annotated[str, Field(alias="MICROSOFT_GRAPH_URL")] = ""
    ca_bundle: Annotated[Path | None, Field(alias="REQUESTS_CA_BUNDLE")] = None
    sync_interval_minutes: Annotated[int, Field(alias="ROLLCALL_SYNC_INTERVAL_MINUTES", ge=1, le=1440)] = 60
    scheduler: Annotated[Literal["embedded", "distributed", "off"], Field(alias="ROLLCALL_SCHEDULER")] = (
        "embedded"
    )
    log_format: Annotated[Literal["text", "json"], Field(alias="ROLLCALL_LOG_FORMAT")] = "text"
    pooling: Annotated[Literal["session", "transaction"], Field(alias="ROLLCALL_DATABASE_POOLING")] = (
        "session"
    )

    @field_validator("base_url", "login_url", "graph_url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        return value.strip().rstrip("/")

    @field_validator("base_url")
    @classmethod
    def _web_url(cls, value: str) -> str:
        if value and not _is_base(value, "http", "https"):
            raise ValueError("must be a URL such as https://rollcall.example.com")
        return value

    @field_validator("login_url", "graph_url")
    @classmethod
    def _https_only(cls, value: str) -> str:
        if value and not _is_base(value, "https"):
            raise ValueError(
                "must be an https:// URL without a user, query or fragment: tokens are never sent over anything else"
            )
        if value.rstrip("/").endswith(("/v1.0", "/beta")):
            raise ValueError("must be the base alone, without /v1.0: the portal puts the version behind it")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if not value:
            return value
        try:
            url = make_url(value)
        except (ArgumentError, ValueError) as error:
            raise ValueError("must be an SQLAlchemy URL, sqlite:///… or postgresql://…") from error
        backend = "postgresql" if url.drivername == "postgres" else url.get_backend_name()
        if backend == "postgresql":
            return url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        if backend == "sqlite":
            return value
        raise ValueError("must be a sqlite:/// or postgresql:// URL")

    @field_validator("certificate_file", "ca_bundle", mode="before")
    @classmethod
    def _readable(cls, value: Any) -> Any:
        if value in (None, ""):
            return None
        if not Path(value).exists():
            raise ValueError(f"names a file that does not exist: {value}")
        return value

    @field_validator("certificate_file")
    @classmethod
    def _certificate(cls, value: Path | None) -> Path | None:
        """Whether both halves fit is judged where they are used; a file that cannot be one stops the start."""
        if value is not None:
            text = _read(value)
            if b"-----BEGIN CERTIFICATE-----" not in text or b"PRIVATE KEY-----" not in text:
                raise ValueError(f"must name a PEM file with a certificate and its private key, not {value}")
        return value

    @field_validator("ca_bundle")
    @classmethod
    def _authorities(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            _read(value)
            try:
                ssl.create_default_context(cafile=str(value))
            except ssl.SSLError as error:
                raise ValueError(
                    f"must name a PEM file with certificates, or a folder, not {value}"
                ) from error
        return value

    @field_validator("sync_interval_minutes", mode="before")
    @classmethod
    def _minutes(cls, value: Any) -> Any:
        if isinstance(value, str) and not (value.strip().isascii() and value.strip().isdigit()):
            raise ValueError("must be a whole number, an integer from 1 to 1440")
        return value

    @field_validator("proxies", mode="before")
    @classmethod
    def _count(cls, value: Any) -> Any:
        if isinstance(value, str) and not (value.strip().isascii() and value.strip().isdigit()):
            raise ValueError(
                "must be a whole number, the reverse proxies in front of the portal, from 0 to 10"
            )
        return value

    @field_validator("scheduler")
    @classmethod
    def _possible(cls, value: str, others: ValidationInfo) -> str:
        """SQLite has one writer, and its file one machine."""
        if value == "distributed" and not str(others.data.get("database_url", "")).startswith("postgresql"):
            raise ValueError(
                "distributed needs PostgreSQL; set ROLLCALL_DATABASE_URL to a postgresql:// URL, or leave this out"
            )
        return value

    @model_validator(mode="after")
    def _database_default(self) -> Self:
        if not self.database_url:
            path = (self.data_dir / "rollcall.db").absolute()
            object.__setattr__(self, "database_url", f"sqlite:///{path}")
        return self

    @property
    def proxy_count(self) -> int:
        """How many reverse proxies stand before the portal and are believed (X-Forwarded-*).

        One where the public URL is https, which something in front has to end; a URL alone names nobody to believe.
        """
        if self.proxies is not None:
            return self.proxies
        return 1 if self.is_https else 0

    @property
    def is_https(self) -> bool:
        """True where people reach the portal over TLS."""
        return urlsplit(self.base_url).scheme == "https"

    @property
    def is_sqlite(self) -> bool:
        """True on SQLite: one process writes at a time."""
        return self.database_url.startswith("sqlite")

    @property
    def is_pooled(self) -> bool:
        """True where something such as pgbouncer hands out PostgreSQL's connections for a transaction each."""
        return self.pooling == "transaction" and not self.is_sqlite

    def secret_keys(self) -> list[str]:
        """The secret key first, then the ones it replaced (newest first); creates the key file when there is none.

        The first alone signs: the others, which may be easy to guess, only open what was sealed with them.
        Raises ConfigError when the data directory cannot be written.
        """
        secret = self.secret_key.get_secret_value()
        old = [key.strip() for key in self.old_secret_keys.get_secret_value().split(",") if key.strip()]
        return [secret or self._stored_key(), *old]

    def keep_data_dir(self) -> None:
        """Make the data folder, for its owner only. Raises ConfigError when that cannot be."""
        try:
            keep_folder(self.data_dir)
        except OSError as error:
            raise ConfigError(
                f"ROLLCALL_DATA_DIR: cannot use {self.data_dir} as a folder: {error.strerror}"
            ) from error

    def _stored_key(self) -> str:
        path = self.data_dir / "secret.key"
        self.keep_data_dir()
        try:
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                keep_file(path)
                key = path.read_text(encoding="ascii").strip()
                if not key:
                    raise ConfigError(
                        f"ROLLCALL_DATA_DIR: {path} is empty; restore it from a backup"
                    ) from None
                return key
            key = secrets.token_urlsafe(48)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(key + "\n")
        except OSError as error:
            raise ConfigError(f"ROLLCALL_DATA_DIR: cannot write {path}: {error.strerror}") from error
        return key


def _is_base(url: str, *schemes: str) -> bool:
    """True for an absolute URL that paths can be put behind."""
    parts = urlsplit(url)
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    one_word = not any(c.isspace() or c == "\\" for c in url)
    return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and plain and one_word


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"names a file that cannot be read: {path} ({error.strerror})") from error


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment. Raises ConfigError: one line, naming the first bad variable and what it should be."""
    source = _with_secret_files(os.environ if environ is None else environ)
    names = {str(field.alias) for field in Settings.model_fields.values()}
    environment = {name: source[name] for name in names if source.get(name, "") != ""}
    if "ROLLCALL_SECRET_KEY" in source:
        _check_secret_key(source["ROLLCALL_SECRET_KEY"])
    try:
        return Settings.model_validate(environment)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "configuration"
        reason = str(first["msg"]).removeprefix("Value error, ").splitlines()[0]
        raise ConfigError(f"{name}: {reason}") from None


def _with_secret_files(source: Mapping[str, str]) -> dict[str, str]:
    """The environment with what the files of ``SECRET_FILES`` hold in the place of their variables."""
    environment = dict(source)
    for name, meant in SECRET_FILES.items():
        if not source.get(name):
            continue
        if source.get(meant):
            raise ConfigError(f"{name}: {meant} is set too; leave out one of the two")
        try:
            environment[meant] = Path(source[name]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigError(f"{name}: cannot read {source[name]}: {reason}") from error
        if not environment[meant]:
            raise ConfigError(f"{name}: {source[name]} is empty")
    return environment


def _check_secret_key(key: str) -> None:
    """Refuse a key that could be guessed: whoever has it signs sessions and opens stored secrets."""
    if not key.strip():
        raise ConfigError("ROLLCALL_SECRET_KEY: must not be empty; leave it out to have one generated")
    is_repeated = (key + key).find(key, 1) < len(key)  # "abcabcabc"
    if len(key) < KEY_LENGTH or len(set(key)) < KEY_LETTERS or is_repeated:
        raise ConfigError(
            f"ROLLCALL_SECRET_KEY: is easy to guess; use {KEY_LENGTH} or more random characters, as `openssl rand "
            "-base64 48` prints, and put the current key into ROLLCALL_OLD_SECRET_KEYS"
        )


def child_environment(**changes: str) -> dict[str, str]:
    """The environment of this process with ``changes``, for the programs that ``rollcall demo`` starts."""
    return {**os.environ, **changes}
