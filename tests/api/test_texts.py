"""Texts that one database takes and the other does not are refused where they come in, at both alike."""

import io

import pytest
import sqlalchemy as sa

from portal.extensions import db
from portal.models import Import


@pytest.mark.parametrize("name", ["Re\x00ef", "\x00"])
def test_a_form_with_a_nul_is_refused_at_its_field(api, person, name):
    answer = person.post("/organizations/new", data={"name": name})
    assert answer.status_code == 422
    assert "cannot contain NUL characters" in answer.text
    assert api("GET", "/organizations")[1]["total"] == 0


def test_so_is_a_file_whose_name_has_one(app, api, person):
    reef = api.made("/organizations", {"name": "Reef"})
    given = {"file": (io.BytesIO(b"email,display_name\nann@x.example,Ann\n"), "people\x00.csv")}
    path = f"/organizations/{reef['id']}/end-users/import"
    answer = person.post(path, data=given, content_type="multipart/form-data")
    assert answer.status_code == 422
    assert "cannot contain NUL characters" in answer.text
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Import)) == 0


def test_a_checked_id_with_one_is_nobodys(api, person):
    reef = api.made("/organizations", {"name": "Reef"})
    for more in ({}, {"confirmed": "1"}):
        answer = person.post(f"/organizations/{reef['id']}/end-users/delete", data={"id": "one\x00", **more})
        assert answer.status_code == 422
