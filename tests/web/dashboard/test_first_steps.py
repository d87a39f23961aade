"""P9, F6: a portal on which nothing has happened yet says where to begin, and never reassures too early."""

import re
from datetime import timedelta

from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.microsoft import credentials
from portal.models import Role, SyncRun, Tenant, UserSync
from portal.runtime import runtime
from tests.web import customers


def test_P9_a_new_portal_says_where_to_begin(client_as):
    page = client_as(Role.READ_ONLY).get("/")
    assert page.status_code == 200 and "Get started" in page.text and "rc-figure" not in page.text
    assert "Nothing needs attention" not in page.text and "Ask an administrator to do this." in page.text


def primary(browser):
    """The one thing that the checklist says is next: (address, label)."""
    page = browser.get("/").text
    return re.findall(
        r'<a class="btn btn-primary" href="([^"]+)">([^<]+)</a>', page.partition('id="first-run"')[2]
    )


def test_F6_the_first_run_leads_to_each_step_in_turn_until_the_first_sync(client_as, app, monkeypatch):
    owner = client_as(Role.ADMINISTRATOR)
    with monkeypatch.context() as patch:
        patch.setattr("portal.microsoft.service.usable_clouds", list)
        assert primary(owner) == [("/settings/microsoft", "Enter the app registration")]
        page = owner.get("/microsoft-tenants/connect").text
        assert "app registration is not entered yet" in page and "Ask for consent" not in page
    assert primary(owner) == [("/microsoft-tenants/connect", "Connect a Microsoft tenant")]
    with app.app_context():
        mark_write(db.session())
        microsoft_id = customers.microsoft_tenant().id
        db.session.commit()
    assert primary(owner) == [("/organizations/new", "Add an Organization")]
    with app.app_context():
        mark_write(db.session())
        row = customers.organization("Marula Foods")
        db.session.commit()
        organization_id, tenant_id = row.id, row.tenant_id
    assert primary(owner) == [("/microsoft-tenants?mapped=false", "Map a Microsoft tenant")]
    with app.app_context():
        mark_write(db.session())
        db.session.get(Tenant, tenant_id).microsoft_tenant_id = microsoft_id
        db.session.commit()
    assert primary(owner) == [("/attention?kind=not_set_up", "Choose an Organization")]
    with app.app_context():
        mark_write(db.session())
        db.session.add(
            UserSync(organization_id=organization_id, enabled=True, filters={}, updated_at=utcnow())
        )
        db.session.commit()
    assert primary(owner) == [("/sync-runs", "Follow it")]
    with app.app_context():
        mark_write(db.session())
        db.session.query(UserSync).one().initial_done_at = utcnow()
        db.session.commit()
    page = owner.get("/").text
    assert "Get started" not in page and "Nothing needs attention" in page


def test_F6_the_first_run_says_to_others_who_does_the_step(client_as, app):
    with app.app_context():
        customers.organization("Marula Foods")
        customers.microsoft_tenant()
        db.session.commit()
    reader, technician = client_as(Role.READ_ONLY), client_as(Role.TECHNICIAN)
    assert primary(reader) == [] and "Ask a technician to do this." in reader.get("/").text
    assert primary(technician) == [("/microsoft-tenants?mapped=false", "Map a Microsoft tenant")]


def test_P9_nothing_is_drawn_before_there_is_something(client_as, app):
    reader = client_as(Role.READ_ONLY)
    assert "rc-chart" not in reader.get("/").text and "rc-figure" not in reader.get("/").text
    with app.app_context():
        mark_write(db.session())
        microsoft = customers.microsoft_tenant()
        row = customers.organization("Marula Foods")
        db.session.commit()
        ids = {"organization_id": row.id, "microsoft_tenant_id": microsoft.id}
    page = reader.get("/").text
    assert "rc-chart" not in page and "rc-figure" in page and "The next one appears here." in page
    with app.app_context():
        mark_write(db.session())
        db.session.add(SyncRun(**ids, trigger="initial", status="succeeded", created_at=utcnow()))
        db.session.commit()
    page = reader.get("/").text
    assert page.count('<svg class="rc-chart') == 3 and "No sync has run" not in page


def test_P9_a_new_portal_with_trouble_says_where_to_begin_too(client_as, app):
    with app.app_context():
        mark_write(db.session())
        credentials.note_end(db.session(), runtime().settings, utcnow() + timedelta(days=20))
        db.session.commit()
    page = client_as(Role.ADMINISTRATOR).get("/").text
    assert "client secret expires in" in page and "Get started" in page and "rc-figure" not in page


def test_P9_it_never_reassures_while_something_is_not_done(client_as, app):
    with app.app_context():
        customers.microsoft_tenant("Nobody's")
        mapped = customers.organization("Marula Foods", customers.microsoft_tenant())
        customers.organization("Not mapped Co")
        synced = customers.organization("Synced Co", customers.microsoft_tenant("Synced"))
        done = {"enabled": True, "filters": {}, "updated_at": utcnow(), "initial_done_at": utcnow()}
        db.session.add(UserSync(organization_id=synced.id, **done))
        db.session.commit()
        tenant_id = mapped.tenant_id
    owner, technician = client_as(Role.ADMINISTRATOR), client_as(Role.TECHNICIAN)
    page = owner.get("/").text
    assert "Nothing needs attention" not in page and "as it should be" not in page
    for words in (
        "1 Organization is not set up",
        "1 Organization is not mapped",
        "1 Microsoft tenant is not mapped",
    ):
        assert words in page.partition('id="page-facts"')[2].partition("</p>")[0]
    assert f'href="/tenants/{tenant_id}">Set up<' in page and "Ask an administrator to set it up." not in page
    page = technician.get("/").text
    assert (
        "Ask an administrator to set it up." in page and "technician or an administrator to map" not in page
    )


def test_P9_only_administrators_are_sent_to_their_settings(client_as, app):
    with app.app_context():
        mark_write(db.session())
        credentials.note_end(db.session(), runtime().settings, utcnow() + timedelta(days=20))
        db.session.commit()
    assert ">Replace<" in client_as(Role.ADMINISTRATOR).get("/").text
    page = client_as(Role.TECHNICIAN).get("/").text
    assert (
        "client secret expires in" in page
        and "Ask an administrator to replace it." in page
        and ">Replace<" not in page
    )


def test_P9_nobody_sees_it_without_signing_in(app):
    assert app.test_client().get("/").status_code == 303
