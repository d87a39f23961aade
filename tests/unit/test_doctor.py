"""O3: rollcall doctor names what is wrong and what to do, and changes nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.clock import utcnow
from portal.config import Settings
from portal.crypto import SecretBox
from portal.graph.reach import Reached
from portal.models import Organization, StoredSetting, SyncRun, Tenant
from portal.operations import doctor, schema

KEY = "the-present-key-of-this-test-0123456789"


def findings(engine, tmp_path, *, keys=(KEY,), ask=lambda _url: Reached(at=utcnow()), **settings):
    wanted = Settings(data_dir=tmp_path, secret_key=KEY, base_url="https://rollcall.example", **settings)
    with Session(engine) as session:
        found = doctor.examine(engine, session, wanted, SecretBox(list(keys)), utcnow(), ask=ask)
        return {one.name: one for one in found}


def test_O3_a_sound_installation_has_nothing_to_do(engine, tmp_path):
    schema.upgrade(engine)
    found = findings(engine, tmp_path)
    assert {one.state for one in found.values()} == {"ok"} and not any(one.advice for one in found.values())


def test_O3_a_database_without_tables_is_said_and_nothing_is_read_from_it(engine, tmp_path):
    found = findings(engine, tmp_path)
    assert found["Migrations"].state == "error" and "rollcall db upgrade" in found["Migrations"].advice
    assert "Secret key" not in found and sa.inspect(engine).get_table_names() == []


def test_O3_a_database_that_is_away_is_one_line(tmp_path):
    away = sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    found = findings(away, tmp_path)
    assert found["Database"].state == "error" and "ROLLCALL_DATABASE_URL" in found["Database"].advice
    assert found["Microsoft Graph"].state == "ok"


def test_O3_secrets_that_no_key_opens_are_named(engine, tmp_path):
    schema.upgrade(engine)
    sealed = SecretBox(["another-key-that-nobody-has-0123456789"]).encrypt("x", purpose="settings:microsoft")
    with Session(engine) as session:
        session.add(
            StoredSetting(key="microsoft", value={}, secret=sealed, updated_at=utcnow(), updated_by="Ada")
        )
        session.commit()
    assert findings(engine, tmp_path)["Secret key"].state == "error"
    found = findings(engine, tmp_path, keys=(KEY, "another-key-that-nobody-has-0123456789"))["Secret key"]
    assert found.state == "warning" and "secrets rotate" in found.advice


def test_O3_a_queue_that_nobody_works_on_is_an_error(engine, tmp_path):
    schema.upgrade(engine)
    with Session(engine) as session:
        tenant = Tenant(name="Reef", created_at=utcnow())
        organization = Organization(name="Reef", name_key="reef", tenant=tenant, created_at=utcnow())
        session.add(organization)
        session.flush()
        run = SyncRun(
            organization_id=organization.id,
            trigger="hourly",
            generation=0,
            created_at=utcnow() - timedelta(hours=3),
        )
        session.add(run)
        session.commit()
    found = findings(engine, tmp_path, scheduler="off")["Workers"]
    assert found.state == "error" and "rollcall serve" in found.advice


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (Reached("ProxyError", is_proxy=True), "HTTPS_PROXY"),
        (Reached("SSLError", is_certificate=True), "REQUESTS_CA_BUNDLE"),
        (Reached("ConnectTimeout"), "Allow HTTPS"),
    ],
)
def test_O3_why_microsoft_cannot_be_reached(engine, tmp_path, answer, advice):
    found = findings(engine, tmp_path, ask=lambda _url: answer)
    assert found["Microsoft Graph"].state == found["Microsoft sign-in"].state == "error"
    assert advice in found["Microsoft Graph"].advice and found["Clock"].state == "warning"


def test_O3_a_clock_that_is_off_is_an_error(engine, tmp_path):
    late = replace(Reached(), at=utcnow() - timedelta(minutes=5))
    assert findings(engine, tmp_path, ask=lambda _url: late)["Clock"].state == "error"
