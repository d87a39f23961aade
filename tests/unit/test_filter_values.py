"""S3, S5: of values that look the same, a filter keeps one and the pop-up shows one."""

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from portal.engine.options import options
from portal.extensions import tune_engine
from portal.models import Base, DirectoryUser, MicrosoftTenant
from portal.user_sync.documents import default_request, parse


def asked(section, *values):
    body = default_request()
    body["filters"][section] = {"all": False, "values": list(values)}
    return getattr(parse(body).filters, section).values


@pytest.mark.parametrize(
    ("section", "values", "kept"),
    [
        ("department", ["Sales", "\u200bSALES", "Sa\u00adles\u00a0", "IT"], ("Sales", "IT")),
        ("domain", ["müller.example", "XN--MLLER-KVA.example", "mu\u0308ller.example"], ("müller.example",)),
        ("group", ["A-1", " a-1\ufeff"], ("a-1",)),
    ],
)
def test_S3_a_filter_keeps_one_of_the_values_that_look_the_same(section, values, kept):
    assert asked(section, *values) == kept


def test_S3_the_pop_up_shows_one_entry_per_value(now):
    engine = tune_engine(create_engine("sqlite://"))
    Base.metadata.create_all(engine)
    people = [
        ("Sales", "a@müller.example"),
        ("Sales", "b@xn--mller-kva.example"),
        ("\u200bSALES", "c@Müller.example"),
        ("Sa\u00adles", ""),
        ("\u2060", ""),
    ]
    with Session(engine) as session:
        tenant = MicrosoftTenant(
            name="X", directory_id="d", domains=[{"name": "xn--mller-kva.example"}], connected_at=now
        )
        session.add(tenant)
        session.flush()
        for number, (department, email) in enumerate(people):
            session.add(
                DirectoryUser(
                    microsoft_tenant_id=tenant.id,
                    object_id=str(number),
                    department=department,
                    email=email,
                    presence="present",
                    raw="{}",
                    row_hash="",
                    content_hash="",
                )
            )
        session.flush()
        found = options(session, tenant.id, sections=("department", "domain"))
    engine.dispose()
    assert [(one["label"], one["count"]) for one in found["department"]] == [("Sales", 4), ("(none)", 1)]
    assert [(one["label"], one["count"]) for one in found["domain"]] == [("müller.example", 3), ("(none)", 2)]
