"""A bad environment variable stops the start with one line that names it (interfaces.md, Configuration)."""

import os
import stat

import pytest

from portal.config import ConfigError, Settings, load


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("ROLLCALL_SYNC_INTERVAL_MINUTES", "0", "greater"),
        ("ROLLCALL_SYNC_INTERVAL_MINUTES", "1441", "less"),
        ("ROLLCALL_SYNC_INTERVAL_MINUTES", "hourly", "integer"),
        ("ROLLCALL_SCHEDULER", "cron", "'embedded', 'distributed' or 'off'"),
        ("ROLLCALL_DATABASE_URL", "mysql://db/x", "sqlite:/// or postgresql://"),
        ("ROLLCALL_DATABASE_URL", "not a url", "SQLAlchemy URL"),
        ("ROLLCALL_BASE_URL", "rollcall.example.com", "https://rollcall.example.com"),
        ("MICROSOFT_LOGIN_URL", "http://127.0.0.1:9443", "https://"),
        ("MICROSOFT_GRAPH_URL", "https://user@127.0.0.1", "https://"),
        ("MICROSOFT_GRAPH_URL", "https://127.0.0.1:9443/v1.0/", "without /v1.0"),
        ("MICROSOFT_CERTIFICATE_FILE", "/nowhere/key.pem", "does not exist"),
        ("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem", "does not exist"),
        ("ROLLCALL_SECRET_KEY", " ", "empty"),
        ("ROLLCALL_SYNC_INTERVAL_MINUTES", "1.5", "1 to 1440"),
        ("ROLLCALL_DATABASE_URL", "postgresql://db:port/x", "SQLAlchemy URL"),
        ("ROLLCALL_BASE_URL", "https://rollcall.example.com:99999", "ort"),
        ("ROLLCALL_BASE_URL", "https://rollcall.example.com/?a=b", "https://rollcall.example.com"),
        ("MICROSOFT_GRAPH_URL", "https://127.0.0.1:99999", "ort"),
        ("MICROSOFT_LOGIN_URL", "https://127.0.0.1/?x", "https://"),
        ("MICROSOFT_LOGIN_URL", "https://login example", "https://"),
        ("MICROSOFT_GRAPH_URL", "https://graph.example\\x", "https://"),
        ("MICROSOFT_CERTIFICATE_FILE", __file__, "private key"),
        ("MICROSOFT_CERTIFICATE_FILE", os.path.dirname(__file__), "cannot be read"),
        ("REQUESTS_CA_BUNDLE", __file__, "certificates"),
    ],
)
def test_bad_value_names_its_variable(variable, value, told):
    with pytest.raises(ConfigError) as caught:
        load({variable: value})
    assert str(caught.value).startswith(f"{variable}: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_variables_are_not_our_business():
    assert load({"PATH": "/bin"}).sync_interval_minutes == 60


def test_database_defaults_to_sqlite_in_the_data_directory(tmp_path):
    assert load({"ROLLCALL_DATA_DIR": str(tmp_path)}).database_url == f"sqlite:///{tmp_path}/rollcall.db"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_uses_the_driver_we_ship(scheme):
    url = load({"ROLLCALL_DATABASE_URL": f"{scheme}://me:pw@db:5432/rollcall"}).database_url
    assert url == "postgresql+psycopg://me:pw@db:5432/rollcall"


def test_urls_lose_their_trailing_slash():
    assert load({"MICROSOFT_GRAPH_URL": "https://127.0.0.1:9443/"}).graph_url == "https://127.0.0.1:9443"


def test_secret_key_is_made_once_and_private(tmp_path):
    settings = Settings(data_dir=tmp_path / "data")
    first = settings.signing_keys()
    path = tmp_path / "data" / "secret.key"
    assert first == Settings(data_dir=tmp_path / "data").signing_keys()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(first[0]) >= 32


def test_given_key_wins_and_old_ones_follow(tmp_path):
    settings = Settings(data_dir=tmp_path, secret_key="new", old_secret_keys="old, older")
    assert settings.signing_keys() == ["new", "old", "older"]
    assert not (tmp_path / "secret.key").exists()


def test_secrets_are_not_in_the_repr():
    assert "hunter2" not in repr(Settings(client_secret="hunter2", secret_key="hunter2"))
