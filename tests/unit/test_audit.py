"""O4: a closed set of events with fixed keys."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from portal import audit
from portal.models import AuditEvent, Base


@pytest.fixture
def session():
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as found:
        yield found
    engine.dispose()


def test_O4_an_event_tells_who_when_what_from_where(session):
    with audit.acting_as(audit.Actor("ada@rollcall.example", "page", "192.0.2.7")):
        audit.record(session, "tenant_renamed", object_type="tenant", object_id="1", old="A", new="B")
    session.commit()
    event = session.scalars(select(AuditEvent)).one()
    assert (event.actor, event.source, event.ip) == ("ada@rollcall.example", "page", "192.0.2.7")
    assert (event.action, event.detail) == ("tenant_renamed", {"old": "A", "new": "B"})
    assert event.at.tzinfo is not None


def test_O4_unknown_events_and_keys_are_refused(session):
    with pytest.raises(KeyError):
        audit.record(session, "something_happened")
    with pytest.raises(ValueError, match="tenant_renamed"):
        audit.record(session, "tenant_renamed", old="A")
    with pytest.raises(ValueError):
        audit.record(session, "tenant_renamed", old="A", new="B", password="x")


def test_O4_the_actor_ends_with_its_block():
    with audit.acting_as(audit.Actor("ada", "cli")):
        assert audit.current_actor().name == "ada"
    assert audit.current_actor() == audit.SYNC


def test_O4_every_event_of_the_set_is_recorded_somewhere():
    """The filter of the audit log offers the set: what is never recorded would promise something."""
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in Path(audit.__file__).parent.rglob("*.py")
        if path.name != "audit.py"
    )
    assert [event for event in audit.EVENTS if f'"{event}"' not in code] == []


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("ada@rollcall.example", True),
        ("ada@corp.local", True),
        ("Übung@xn--bcher-kva.example", True),
        ("hunter2 is my password", False),
        ("P@ssw0rd", False),
        ("P@ss w0rd.example", False),
        ("a@b@c.example", False),
        ("", False),
    ],
)
def test_what_a_stranger_typed_is_kept_only_when_it_is_an_address(session, typed, kept):
    with audit.acting_as(audit.nobody("page", "192.0.2.7")):
        audit.record(session, "sign_in_failed", email=typed, reason="password")
    session.commit()
    assert session.scalars(select(AuditEvent)).one().detail["email"] == (typed if kept else "")


def test_the_address_of_a_known_account_is_kept_whatever_it_looks_like(session):
    with audit.acting_as(audit.nobody("page")):
        audit.record(
            session,
            "sign_in_failed",
            object_type="account",
            object_id="1",
            email="ada@intranet",
            reason="code",
        )
    session.commit()
    assert session.scalars(select(AuditEvent)).one().detail["email"] == "ada@intranet"
