"""CSV in by page: what a file would do is seen by name before anything is written, and can be undone (O2, R5)."""

import io
import re

import pytest

from portal.clock import utcnow
from portal.extensions import db
from portal.imports import runner
from portal.models import EndUser, Import, ImportPart
from tests.web import customers


def send(browser, ids, text, kind="end-users"):
    data = {"file": (io.BytesIO(text.encode()), "people.csv")}
    return browser.send(
        f"/organizations/{ids['organization']}/{kind}/import", data=data, content_type="multipart/form-data"
    )


def count(app):
    with app.app_context():
        return db.session.query(EndUser).count()


def work(app):
    with app.app_context():
        runner.work_off(app.extensions["rollcall"].sessions, "worker")


def test_O2_a_file_is_seen_by_name_before_anything_is_written(app, client_as, ids):
    with app.app_context():
        organization = db.session.get(customers.Organization, ids["organization"])
        customers.end_user(organization, "Bo Quist", "bo@hand.example", city="Delft")
        customers.end_user(organization, "Cy Quist", "cy@hand.example")
        db.session.commit()
    browser, before = client_as("technician"), count(app)
    text = "Email;Name;City;Phone\nbo@hand.example;;Utrecht;<empty>\ncy@hand.example;;;\nnew@hand.example;New <b>One</b>;;+31 6\nbad;Bad;;\n"
    answer = send(browser, ids, text)
    assert answer.status_code == 303
    path = answer.headers["Location"]
    page = browser.get(path).get_data(as_text=True)
    assert re.search(
        r"<b>1</b> <span>new</span> <b>1</b> <span>updated</span> <b>1</b> <span>unchanged</span> <b>1</b> <span>rejected</span>",
        page,
    )
    assert "New &lt;b&gt;One" in page and "Bo Quist" in page and "Cy Quist" in page
    assert "<del>Delft</del> → <ins>Utrecht</ins>" in page
    assert "Line 5" in page and "not an email address" in page
    assert "Import 2 End Users" in page
    assert count(app) == before
    for _ in range(2):  # a double click
        assert browser.send(f"{path}/apply").status_code == 303
    page = browser.get(path).get_data(as_text=True)
    assert "Waits for its turn" in page and "<progress" in page and "Undo this import" not in page
    work(app)
    page = browser.get(path).get_data(as_text=True)
    assert "Imported" in page and "Undo this import" in page and "Bo Quist" in page
    assert count(app) == before + 1
    people = browser.get(f"/organizations/{ids['organization']}/end-users?q=new@hand").get_data(as_text=True)
    person = re.search(r"/end-users/[0-9a-f-]{36}", people)[0]
    assert "Imported" in browser.get(person).get_data(as_text=True)
    plan = browser.get(f"{path}/undo").get_data(as_text=True)
    assert "1 End User that this import created is deleted" in plan and "Bo Quist" in plan
    assert browser.send(f"{path}/undo").status_code == 303
    work(app)
    assert "2 rows undone" in browser.get(path).get_data(as_text=True)
    assert count(app) == before
    upload = browser.get(f"/organizations/{ids['organization']}/end-users/import").get_data(as_text=True)
    assert "people.csv" in upload and "Undone" in upload


def test_O2_a_discarded_file_is_forgotten(app, client_as, ids):
    browser = client_as("technician")
    path = send(browser, ids, "email,display_name\na@hand.example,A\n").headers["Location"]
    assert browser.send(f"{path}/discard").status_code == 303
    assert browser.send(f"{path}/apply").status_code == 303
    work(app)
    with app.app_context():
        assert db.session.query(EndUser).filter_by(email="a@hand.example").count() == 0
        db.session.rollback()
        runner.forget_abandoned(app.extensions["rollcall"].sessions, utcnow())
        assert db.session.query(Import).count() == db.session.query(ImportPart).count() == 0
    assert browser.get(path).status_code == 404


def test_a_file_that_cannot_be_read_is_refused_where_it_was_chosen(client_as, ids):
    browser = client_as("technician")
    data = {"file": (io.BytesIO("email\nJürgen".encode("cp1252")), "x.csv")}
    answer = browser.send(
        f"/organizations/{ids['organization']}/assets/import", data=data, content_type="multipart/form-data"
    )
    assert answer.status_code == 422
    assert "CSV UTF-8" in answer.get_data(as_text=True)
    assert browser.send(f"/organizations/{ids['organization']}/assets/import").status_code == 422


@pytest.mark.parametrize(
    ("kind", "header"),
    [("end-users", b"display_name,first_name"), ("assets", b"id,name,mac_addresses,end_user_email")],
)
def test_a_template_can_be_downloaded_and_pages_export_for_excel(client_as, ids, kind, header):
    browser = client_as("read-only")
    template = browser.get(f"/organizations/{ids['organization']}/{kind}/template.csv")
    assert template.data.startswith(b"\xef\xbb\xbf" + header) and template.data.count(b"\n") == 1
    found = browser.get(f"/organizations/{ids['organization']}/{kind}.csv")
    assert found.data.startswith(b"\xef\xbb\xbf")
    assert f"harborview-foundation-{kind}-{utcnow():%Y-%m-%d}.csv" in found.headers["Content-Disposition"]


def test_a_read_only_person_may_look_and_not_import(app, client_as, ids):
    path = send(client_as("technician"), ids, "email,display_name\na@hand.example,A\n").headers["Location"]
    browser = client_as("read-only")
    page = browser.get(path).get_data(as_text=True)
    assert "Import 1 End User" not in page
    for deed in ("apply", "discard", "undo"):
        assert browser.send(f"{path}/{deed}").status_code == 403
