"""R5: an undo lists first what it will do, then it is queued."""

from datetime import timedelta

from portal.clock import utcnow
from portal.extensions import db
from portal.models import AuditEvent, DirectoryUser, MicrosoftTenant, Organization, Role, SyncRun, Tenant
from portal.models.customers import no_link
from tests.web import customers
from tests.web.runs.rows import change_of


def test_R5_undo_lists_first_and_then_queues(client_as, app, customer):
    address = f"/sync-runs/{customer['run']}/undo"
    with app.app_context():
        person = db.session.get(customers.EndUser, customer["person"])
        person.job_title = "Lead"
        db.session.commit()
    text = client_as(Role.TECHNICIAN).get(address).get_data(as_text=True)
    assert "Restored" in text and "Ada Obi" in text and "Job Title" in text
    with app.app_context():
        assert db.session.scalar(db.select(db.func.count()).select_from(SyncRun)) == 1
    answer = client_as().send(address)
    with app.app_context():
        undo = db.session.scalar(db.select(SyncRun).where(SyncRun.kind == "undo"))
        assert answer.location.endswith(undo.id) and undo.undoes_run_id == customer["run"]
    assert client_as(Role.READ_ONLY).get(address).status_code == 403


def test_R5_an_undo_that_deletes_says_so_and_names_each_spared_person_once(client_as, app, customer):
    address = f"/sync-runs/{customer['run']}/undo"
    browser = client_as()
    assert "deleted" not in browser.get(address).get_data(as_text=True).partition('id="content"')[2]
    with app.app_context():
        run = db.session.get(SyncRun, customer["run"])
        organization = db.session.get(Organization, run.organization_id)
        for name, notes in (("Nina New", ""), ("Norbert Noted", "Has the keys.")):
            person = customers.end_user(organization, name, f"{name.split()[0].lower()}@harborview.example")
            change_of(run, name, "create", end_user_id=person.id, undo={"created": True}, state="applied")
            person.notes, person.edited_at = notes, utcnow() + timedelta(minutes=1) if notes else None
        db.session.commit()
    text = browser.get(address).get_data(as_text=True)
    assert "1 End User that this run created is deleted." in text and "That cannot be undone." in text
    assert "Undo and delete 1 End User</button>" in text
    deleted = text.partition('aria-label="Deleted"')[2].partition("</ul>")[0]
    assert "Nina New" in deleted and "Norbert Noted" not in deleted
    spared = text.partition('aria-label="Not restored"')[2].partition("</ul>")[0]
    assert spared.count("Norbert Noted") == 1 and "Edited since; Has notes" in spared


def test_R5_a_run_can_be_undone_after_its_microsoft_tenant_was_removed(client_as, app, customer):
    """Nothing is left in whose queue the undo could wait."""
    with app.app_context():
        person = db.session.get(customers.EndUser, customer["person"])
        person.job_title = "Lead"
        for name, value in no_link().items():
            setattr(person, name, value)
        db.session.flush()
        db.session.execute(db.update(Tenant).values(microsoft_tenant_id=None))
        db.session.execute(db.delete(DirectoryUser))
        db.session.execute(db.delete(MicrosoftTenant))
        db.session.commit()
    answer = client_as(Role.TECHNICIAN).send(f"/sync-runs/{customer['run']}/undo")
    assert answer.status_code == 303
    with app.app_context():
        undo = db.session.scalar(db.select(SyncRun).where(SyncRun.kind == "undo"))
        assert (undo.status, undo.done) == ("succeeded", 1)
        assert db.session.get(customers.EndUser, customer["person"]).job_title != "Lead"
        event = db.session.query(AuditEvent).filter_by(action="sync_run_finished").one()
        assert (event.object_id, event.detail["status"]) == (undo.id, "succeeded")
        address = f"/sync-runs/{undo.id}"
    reader = client_as(Role.READ_ONLY)
    shown = reader.get(address).text
    assert "0 End Users that the run had created were deleted; 1 other was restored" in shown
    assert "in scope" not in shown and "1 undone" in reader.get("/sync-runs").text
