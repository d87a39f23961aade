"""Accounts: their names and time zones, invitations that end, and the administrator who stays."""

from __future__ import annotations

import re
import sys

import pytest

from portal.auth import forms
from portal.extensions import db, mark_write
from portal.models import Account, Role
from tests.web.auth.signing_in import ANN, events, invited


def test_O4_a_change_of_name_is_in_the_log(app, client_as):
    client = client_as()
    client.send("/account", {"name": "Ada", "theme": "dark", "timezone": ""})
    client.send("/account", {"name": "Ada", "theme": "dark", "timezone": ""})
    (event,) = events(app, "account_changed")
    assert event.detail == {"email": "administrator@rollcall.example", "changes": "name, theme"}


def test_P10_time_zones_are_offered_once_each_and_a_choice_made_earlier_is_kept(app, client_as):
    client = client_as()

    def offered():
        return re.findall(
            r'<option( selected)? value="([^"]*)"', client.get("/account").text.partition('"timezone"')[2]
        )

    names = [name for _, name in offered()]
    assert {"", "UTC", "Europe/Amsterdam", "America/New_York", "Asia/Kolkata"} <= set(names)
    odd = {
        "Factory",
        "EST5EDT",
        "GB",
        "Zulu",
        "Etc/GMT+5",
        "US/Eastern",
        "Asia/Calcutta",
        "localtime",
        "posixrules",
    }
    assert not odd & set(names)
    with app.app_context():
        mark_write(db.session())
        db.session.query(Account).one().timezone = "US/Eastern"
        db.session.commit()
    assert (" selected", "US/Eastern") in offered()
    client.send("/account", {"name": "Ada", "theme": "dark", "timezone": "US/Eastern"})
    assert (" selected", "US/Eastern") in offered()
    client.send("/account", {"name": "Ada", "theme": "dark", "timezone": "Europe/Oslo"})
    assert (" selected", "Europe/Oslo") in offered() and ("", "US/Eastern") not in offered()


def test_P10_without_a_list_of_zones_the_names_of_places_are_offered(monkeypatch, tmp_path):
    known = {"Europe/Amsterdam", "Asia/Calcutta", "Factory", "EST5EDT", "US/Eastern", "UTC"}
    monkeypatch.setattr(forms.zoneinfo, "available_timezones", lambda: known)
    monkeypatch.setattr(forms.zoneinfo, "TZPATH", (str(tmp_path),))
    monkeypatch.setitem(sys.modules, "tzdata.zoneinfo", None)
    assert forms.time_zones.__wrapped__() == ["Asia/Calcutta", "Europe/Amsterdam", "UTC"]


def test_a_newer_link_ends_the_older_one_and_open_links_can_be_withdrawn(app, client_as):
    owner, guest = client_as(), app.test_client()
    first = invited(owner)
    second = invited(owner)
    assert guest.get(first).status_code == 404
    assert guest.get(second).status_code == 200
    withdraw = re.search(
        r'action="(/settings/people/invitations/[^"]+)"', owner.get("/settings/people").text
    )[1]
    assert owner.send(withdraw).status_code == 303
    assert guest.get(second).status_code == 404
    assert len(events(app, "invitation_withdrawn")) == 1


@pytest.mark.parametrize("how", ["off", "remove"])
def test_whoever_is_switched_off_or_removed_does_not_come_back_by_an_old_link(app, ann, client_as, how):
    owner, guest = client_as(), app.test_client()
    link = invited(owner, ANN)
    assert owner.send(f"/settings/people/{ann}", {"do": how}).status_code == 303
    assert guest.get(link).status_code == 404


def test_the_last_administrator_stays(app, ann, client_as):
    owner = client_as(Role.ADMINISTRATOR)
    with app.app_context():
        me = db.session.query(Account).filter_by(email="administrator@rollcall.example").one().id
    assert owner.send(f"/settings/people/{ann}", {"do": "off"}).status_code == 303
    for form in ({"do": "off"}, {"do": "remove"}, {"do": "role", "role": "technician"}):
        answer = owner.send(f"/settings/people/{me}", form)
        assert answer.status_code == 409 and "last active administrator" in answer.text
