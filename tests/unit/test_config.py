"""A bad environment variable stops the start with one line that names it."""

import os
import secrets
import stat

import pytest

from portal import create_app
from portal.config import SECRET_FILES, ConfigError, Settings, load
from portal.extensions import db
from portal.operations import backup, schema


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
        ("ROLLCALL_SECRET_KEY", "changeme", "easy to guess"),
        ("ROLLCALL_SECRET_KEY", "k" * 64, "32 or more random characters"),
        ("ROLLCALL_SECRET_KEY", "0123456789abcdef" * 4, "easy to guess"),
        ("ROLLCALL_SECRET_KEY", "Xy8Q~c0mplicated-but-shorter", "openssl rand -base64 48"),
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
    first = settings.secret_keys()
    path = tmp_path / "data" / "secret.key"
    assert first == Settings(data_dir=tmp_path / "data").secret_keys()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(first[0]) >= 32


@pytest.mark.parametrize(
    "make",
    [
        lambda: secrets.token_hex(32),
        lambda: secrets.token_urlsafe(32),
        lambda: "the old key of these tests, 0123456789",
    ],
)
def test_a_key_that_cannot_be_guessed_is_taken(make):
    key = make()
    assert load({"ROLLCALL_SECRET_KEY": key}).secret_key.get_secret_value() == key


@pytest.fixture
def umask():
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder):
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in [folder, *folder.iterdir()]}


@pytest.mark.parametrize("is_there", [False, True])
def test_the_data_folder_and_what_is_in_it_are_the_owners_alone(tmp_path, umask, is_there):
    folder = tmp_path / "data"
    if is_there:  # made by another program, or an earlier version
        folder.mkdir(mode=0o755)
        (folder / "secret.key").write_text("a key that was there before, 0123456789")
        (folder / "rollcall.db").touch()
    app = create_app(Settings(data_dir=folder, scheduler="off"))
    with app.app_context():
        schema.upgrade(db.engine)
        (folder / "a.backup.partial").touch()
        backup.backup(db.engine, folder / "a.backup")
        found = modes(folder)
        db.engine.dispose()
    assert {
        "data": "0o700",
        "secret.key": "0o600",
        "rollcall.db": "0o600",
        "a.backup": "0o600",
    }.items() <= found.items()
    assert {mode for name, mode in found.items() if name != "data"} == {"0o600"}


def test_a_folder_that_many_share_is_left_as_it_is(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    Settings(data_dir=folder).keep_data_dir()
    assert modes(folder) == {"shared": "0o1777"}


def test_a_data_folder_that_is_a_file_is_one_clear_line(tmp_path):
    (tmp_path / "data").touch()
    with pytest.raises(ConfigError, match="^ROLLCALL_DATA_DIR: cannot use .*/data as a folder: File exists$"):
        Settings(data_dir=tmp_path / "data").secret_keys()


def test_given_key_wins_and_old_ones_follow(tmp_path):
    settings = Settings(data_dir=tmp_path, secret_key="new", old_secret_keys="old, older")
    assert settings.secret_keys() == ["new", "old", "older"]
    assert not (tmp_path / "secret.key").exists()


def test_secrets_are_not_in_the_repr():
    assert "hunter2" not in repr(Settings(client_secret="hunter2", secret_key="hunter2"))


def test_O1_a_secret_may_stand_in_a_file(tmp_path):
    held = tmp_path / "secret"
    held.write_text("s3cret-value-from-a-file\n")
    assert (
        load({"MICROSOFT_CLIENT_SECRET_FILE": str(held)}).client_secret.get_secret_value()
        == "s3cret-value-from-a-file"
    )
    held.write_text("postgresql://u:p@h/d")
    assert load({"ROLLCALL_DATABASE_URL_FILE": str(held)}).database_url.startswith(
        "postgresql+psycopg://u:p@h"
    )


@pytest.mark.parametrize("name", sorted(SECRET_FILES))
def test_O1_a_file_of_a_secret_that_cannot_be_used_stops_the_start(tmp_path, name):
    empty = tmp_path / "empty"
    empty.touch()
    for value, more, said in (
        (str(tmp_path / "nothing"), {}, "cannot read"),
        (str(empty), {}, "is empty"),
        (str(empty), {SECRET_FILES[name]: "x"}, "leave out one of the two"),
    ):
        with pytest.raises(ConfigError, match=f"^{name}: .*{said}"):
            load({name: value, **more})


def test_O1_a_guessable_key_in_a_file_is_refused_too(tmp_path):
    held = tmp_path / "key"
    held.write_text("password")
    with pytest.raises(ConfigError, match="easy to guess"):
        load({"ROLLCALL_SECRET_KEY_FILE": str(held)})
