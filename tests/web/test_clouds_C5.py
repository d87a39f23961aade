"""C5: an app registration works in its own cloud only, so that each has its own (docs/microsoft-graph.md, 1.6)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.clock import utcnow
from portal.crypto import SecretBox
from portal.errors import NeedsAdmin
from portal.extensions import db
from portal.graph.clouds import CLOUDS, DEFAULT, REGISTRATIONS
from portal.microsoft import credentials
from portal.microsoft_sign_in import service as sign_in
from portal.models import Account, AuditEvent, MicrosoftTenant, StoredSetting
from portal.operations.keys import rotate
from portal.runtime import runtime
from tests.web import customers

CLIENT = "1b4e28ba-2fa1-4d2b-883f-0016d3cca427"
OTHER = "2b4e28ba-2fa1-4d2b-883f-0016d3cca427"
CUSTOMER = "11111111-1111-4111-8111-111111111111"


def enter(client, cloud, client_id=CLIENT, days=20):
    day = f"{utcnow() + timedelta(days=days, hours=1):%Y-%m-%d}"
    form = {"client_id": client_id, "secret": f"secret~of~{cloud}", "expires_on": day}
    answer = client.send(f"/settings/microsoft?cloud={cloud}", form)
    assert answer.status_code == 303, answer.text
    assert answer.headers["Location"].endswith(f"/settings/microsoft?cloud={cloud}")


def loaded(cloud):
    return credentials.load(db.session(), runtime().settings, runtime().box, cloud)


def test_C5_each_cloud_has_its_own_and_US_Gov_serves_the_DoD(app, client_as):
    assert list(REGISTRATIONS) == [DEFAULT, "us_gov", "china"]
    client = client_as()
    enter(client, "us_gov", CLIENT)
    enter(client, "china", OTHER)
    with app.app_context():
        assert loaded(DEFAULT).client_id == "client", "the environment is the default cloud's only"
        assert loaded("us_gov") == loaded("us_dod")
        assert (loaded("us_dod").client_id, loaded("us_dod").secret) == (CLIENT, "secret~of~us_gov")
        assert (loaded("china").client_id, loaded("china").secret) == (OTHER, "secret~of~china")
        assert "secret~of" not in str([(row.value, row.secret) for row in db.session.query(StoredSetting)])
    page = client.get("/settings/microsoft?cloud=us_dod").text
    assert (
        f'value="{CLIENT}"' in page
        and "https://login.microsoftonline.us/organizations/v2.0/adminconsent" in page
    )
    assert client.get("/settings/microsoft?cloud=mars").status_code == 200


@pytest.mark.parametrize("cloud", ["us_gov", "us_dod", "china"])
def test_C5_without_one_the_sentence_says_what_to_enter(app, client_as, cloud):
    with app.app_context(), pytest.raises(NeedsAdmin) as refused:
        loaded(cloud)
    assert CLOUDS[cloud].label in refused.value.advice
    client = client_as()
    for path in ("/microsoft-tenants/connect", "/microsoft-tenants/consent"):
        answer = client.send(path, {"directory_id": CUSTOMER, "cloud": cloud})
        assert answer.status_code == 422
        assert f"no app registration in Microsoft&#39;s cloud {CLOUDS[cloud].label} yet" in answer.text
    with app.app_context():
        assert db.session.query(MicrosoftTenant).count() == 0


def test_C5_connect_offers_only_clouds_that_have_one_and_says_why(client_as):
    client = client_as()
    page = client.get("/microsoft-tenants/connect").text
    assert '<option value="us_gov"' not in page and 'href="/settings/microsoft?cloud=us_gov"' in page
    enter(client, "us_gov")
    page = client.get("/microsoft-tenants/connect").text
    assert '<option value="us_gov"' in page and '<option value="us_dod"' in page
    assert '<option value="china"' not in page and 'href="/settings/microsoft?cloud=china"' in page


def test_C5_consent_is_asked_at_the_clouds_own_login_page_for_its_own_app(client_as):
    client = client_as()
    enter(client, "us_gov")
    answer = client.send("/microsoft-tenants/consent", {"directory_id": CUSTOMER, "cloud": "us_dod"})
    assert answer.status_code == 303
    target = answer.headers["Location"]
    assert target.startswith(
        f"https://login.microsoftonline.us/{CUSTOMER}/v2.0/adminconsent?client_id={CLIENT}"
    )
    assert "dod-graph.microsoft.us" in target


def test_C5_a_connected_tenant_asks_for_consent_with_its_clouds_app(app, client_as):
    with app.app_context():
        row = customers.microsoft_tenant("Gov")
        row.cloud = "us_gov"
        db.session.commit()
        path = f"/microsoft-tenants/{row.id}/reconnect"
    client = client_as()
    assert client.send(path).status_code == 422
    enter(client, "us_gov")
    assert f"client_id={CLIENT}" in client.send(path).headers["Location"]


def test_C5_what_expires_is_listed_for_each_cloud(client_as):
    client = client_as()
    enter(client, "us_gov", days=20)
    enter(client, "china", OTHER, days=5)
    text = client.get("/settings/microsoft").text
    china, gov = (f"client secret for {REGISTRATIONS[home]}" for home in ("china", "us_gov"))
    ends = text[text.index("What expires") :]
    assert ends.index(china) < ends.index(gov) < ends.index("client secret</bdi>")
    assert gov in client.get("/").text


def test_C1_key_rotation_seals_each_anew(app, client_as):
    enter(client_as(), "china", OTHER)
    with app.app_context():
        assert rotate(db.session(), SecretBox(["n" * 40, "k" * 40])) == 1
        found = credentials.from_settings(db.session(), SecretBox(["n" * 40]), "china")
        assert found.secret == "secret~of~china"


def test_P10_people_sign_in_at_the_login_page_of_the_chosen_cloud(app, client_as):
    client = client_as()
    client.send("/settings/people/microsoft", {"tenants": CUSTOMER, "cloud": "us_gov"})

    def found():
        return sign_in.sign_in_app(db.session(), runtime().settings, runtime().box)

    with app.app_context():
        assert found() is None, "no app registration there yet"
    enter(client, "us_gov")
    with app.app_context():
        assert (found().login_url, found().client_id) == ("https://login.microsoftonline.us", CLIENT)
    assert '<option selected value="us_gov">' in client.get("/settings/people").text
    client.send("/settings/people/microsoft", {"tenants": CUSTOMER})
    with app.app_context():
        assert (found().login_url, found().client_id) == (CLOUDS[DEFAULT].login_url, "client")


def test_P10_switching_sign_in_off_for_a_tenant_signs_its_people_out(app, client_as):
    admin, technician, reader = client_as(), client_as("technician"), client_as("read-only")
    admin.send("/settings/people/microsoft", {"tenants": f"{CUSTOMER}\n{OTHER}"})
    with app.app_context():
        for email, tid in (("administrator", CUSTOMER), ("technician", CUSTOMER), ("read-only", OTHER)):
            account = db.session.query(Account).filter_by(email=f"{email}@rollcall.example").one()
            account.microsoft_tid, account.microsoft_oid = tid, f"oid of {email}"
        db.session.commit()
    assert admin.send("/settings/people/microsoft", {"tenants": OTHER}).status_code == 303
    assert technician.get("/").status_code == 303
    assert reader.get("/").status_code == 200, "another tenant"
    assert admin.get("/").status_code == 200, "who says so stays"
    with app.app_context():
        ended = db.session.query(AuditEvent).filter_by(action="session_ended").one()
        assert ended.detail == {"email": "technician@rollcall.example"}


def test_C1_a_stored_app_registration_can_be_removed_unless_a_tenant_is_read_with_it(app, client_as):
    client = client_as()
    assert "Remove…" not in client.get("/settings/microsoft").text, "the environment's is not ours to remove"
    enter(client, "us_gov")
    with app.app_context():
        served = customers.microsoft_tenant("Gov")
        served.cloud = "us_dod"
        db.session.commit()
        served_id = served.id
    address = "/settings/microsoft/remove?cloud=us_gov"
    assert (
        'href="/settings/microsoft/remove?cloud=us_gov"'
        in client.get("/settings/microsoft?cloud=us_gov").text
    )
    page = client.get(address).text
    assert "Gov" in page and "Remove the Microsoft tenants first" in page and "btn-danger" not in page
    assert client.send(address).status_code == 409
    with app.app_context():
        assert loaded("us_gov").client_id == CLIENT, "nothing is lost"
        db.session.delete(db.session.get_one(MicrosoftTenant, served_id))
        db.session.commit()
    assert "btn-danger" in client.get(address).text
    assert client.send(address).status_code == 303
    with app.app_context():
        with pytest.raises(NeedsAdmin):
            loaded("us_gov")
        assert db.session.get_one(StoredSetting, "microsoft:us_gov").secret is None
        assert db.session.query(AuditEvent).order_by(AuditEvent.at.desc()).first().detail["changes"] == [
            "removed"
        ]
    assert client.send(address).status_code == 303, "twice is fine"
