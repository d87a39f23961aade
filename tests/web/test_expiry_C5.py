"""C5: the radar: what ends when in one list, warned of 60, 30 and 7 days before, each step once; G2: a new secret is tried at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from portal.alerts import announcements
from portal.clock import utcnow
from portal.config import Settings
from portal.extensions import db
from portal.microsoft import credentials, expiry, service
from portal.models import MicrosoftTenant, StoredSetting
from portal.runtime import runtime
from tests.web import customers

CLIENT = "1b4e28ba-2fa1-4d2b-883f-0016d3cca427"


def partner_of(name, days):
    row = customers.microsoft_tenant(name)
    row.relationship_ends_at = utcnow() + timedelta(days=days, hours=1)
    db.session.commit()


def test_C5_one_list_soonest_first_and_the_unknown_last(app, client_as):
    with app.app_context():
        partner_of("Later", 45)
        partner_of("Soon", 5)
        found = expiry.radar(db.session(), runtime().settings)
        assert [
            (end.what.removeprefix("The partner relationship with "), end.step(utcnow())) for end in found
        ] == [
            ("Soon", 7),
            ("Later", 60),
            ("The portal's client secret", None),
        ]
    text = client_as().get("/settings/microsoft").get_data(as_text=True)
    assert text.index("Soon") < text.index("Later")
    assert "Within 60 days" in text and "5 days left" in text and "Not known" in text


@pytest.mark.parametrize(("days", "told"), [(61, 0), (60, 1), (31, 1), (30, 1), (7, 1), (-2, 1)])
def test_C5_steps(app, days, told):
    with app.app_context():
        partner_of("Reef", days)
        assert len(announcements.expiring(db.session(), runtime(), utcnow())) == told


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (timedelta(days=6, hours=1), "The secret expires in 6 days, on 1 Dec 2026"),
        (timedelta(days=1), "The secret expires in 1 day, on 26 Nov 2026"),
        (timedelta(hours=3), "The secret expires within a day, on 25 Nov 2026"),
        (timedelta(0), "The secret has expired on 25 Nov 2026"),
        (None, "The secret expires on an unknown date"),
    ],
)
def test_C5_what_ends_when_is_one_sentence(left, said):
    now = datetime(2026, 11, 25, 8, tzinfo=UTC)
    end = expiry.End("app", "The secret", None if left is None else now + left, "", "")
    assert end.sentence(now) == said


def test_C5_the_day_of_the_environments_secret_is_noted_and_holds_for_that_secret_only(app, client_as):
    client = client_as()
    assert client.send("/settings/microsoft", {"expires_on": "soon"}).status_code == 422
    day = f"{utcnow() + timedelta(days=20):%Y-%m-%d}"
    assert client.send("/settings/microsoft", {"expires_on": day}).status_code == 303
    assert "Within 30 days" in client.get("/settings/microsoft").text
    assert "client secret expires in" in client.get("/").text
    with app.app_context():
        settings = runtime().settings
        assert credentials.overview(db.session(), settings).expires_at is not None
        other = Settings(data_dir=settings.data_dir, client_id=settings.client_id, client_secret="another")
        assert credentials.overview(db.session(), other).expires_at is None
        kept = db.session.get(StoredSetting, "microsoft")
        assert "secret" not in str(kept.value.get("environment")), "a fingerprint only"


def test_G2_a_new_secret_is_tried_at_once_wherever_the_old_one_was_refused(app, client_as):
    with app.app_context():
        broken, fine = customers.microsoft_tenant("Broken"), customers.microsoft_tenant("Fine")
        broken.state, broken.next_run_at = "needs_attention", utcnow() + timedelta(hours=20)
        fine.next_run_at = utcnow() + timedelta(hours=1)
        db.session.commit()
        ids = broken.id, fine.id
        before = utcnow()
        service.try_again()
        db.session.commit()
        broken, fine = (db.session.get(MicrosoftTenant, one) for one in ids)
        assert broken.next_run_at <= utcnow() and broken.read_requested_at >= before
        assert fine.next_run_at > utcnow() and fine.read_requested_at is None
