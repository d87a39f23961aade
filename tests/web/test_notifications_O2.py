"""O2: the usual targets are entered as their own pages show them, and each is told of the events that were chosen for it."""

import json

import pytest

from portal.alerts import announcements, delivery, events, presets, targets
from portal.clock import utcnow
from portal.errors import Invalid
from portal.extensions import db
from portal.models import AuditEvent, Conflict, Role, StoredSetting
from tests.web import customers

PAGE = "/settings/notifications"
MAIL = {
    "recipients": "ann@x.example, bo@x.example",
    "sender": "rollcall@x.example",
    "server": "smtp.mail.example",
    "encryption": "starttls",
    "port": "",
    "user": "ann@x.example",
    "password": "p@ss/word",
}
OLD = "https://prod-1.westeurope.logic.azure.com:443/workflows/643e69f8/triggers/manual/paths/invoke?api-version=2016-06-01&sp=x&sv=1.0&sig=abc-DEF_123"
NEW = (
    "https://default1.06.environment.api.powerplatform.com:443/powerautomate/automations/direct/cu/06/workflows/643e69f8"
    "/triggers/manual/paths/invoke?api-version=1&sp=x&sv=1.0&sig=abc"
)


@pytest.mark.parametrize(
    ("address", "kind", "host"),
    [
        (presets.email(MAIL), "mailtos", "smtp.mail.example"),
        (presets.email({**MAIL, "encryption": "ssl", "port": "4650"}), "mailtos", "smtp.mail.example"),
        (presets.teams(OLD), "workflows", "prod-1.westeurope.logic.azure.com"),
        (presets.teams(NEW), "workflows", "default1.06.environment.api.powerplatform.com"),
        (
            presets.slack("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"),
            "slack",
            "T1JJ3T3L2",
        ),
        (presets.webhook("https://ann:pa55@hooks.example:8443/roll/call"), "jsons", "hooks.example"),
    ],
)
def test_O2_each_preset_makes_an_address_that_is_taken(address, kind, host):
    target = targets.parse(address)
    assert (target.kind, target.host) == (kind, host) and delivery._plugin(target)


def test_O2_a_password_of_the_mail_server_is_kept_whole():
    target = targets.parse(presets.email(MAIL))
    assert (target.user, target.password, target.port) == ("ann@x.example", "p@ss/word", 587)
    assert dict(target.parameters) == {
        "to": "ann@x.example,bo@x.example",
        "from": "rollcall@x.example",
        "smtp": "smtp.mail.example",
        "mode": "starttls",
    }


@pytest.mark.parametrize(
    ("make", "given", "field"),
    [
        (presets.teams, "https://outlook.office.com/webhook/abc", "url"),
        (
            presets.teams,
            "http://prod-1.logic.azure.com/workflows/6/triggers/manual/paths/invoke?sig=a",
            "url",
        ),
        (presets.slack, "https://hooks.slack.example/services/a/b/c", "url"),
        (presets.slack, "https://hooks.slack.com:x/services/a/b/c", "url"),
        (presets.webhook, "ftp://hooks.example", "url"),
        (presets.webhook, "https://hooks.example/?token=s3cret", "url"),
        (presets.email, {**MAIL, "recipients": "ann@x.example nobody"}, "recipients"),
        (presets.email, {**MAIL, "sender": "rollcall"}, "sender"),
        (presets.email, {**MAIL, "server": "smtp mail"}, "server"),
        (presets.email, {**MAIL, "port": "99999"}, "port"),
        (presets.email, {**MAIL, "encryption": "none"}, "encryption"),
    ],
)
def test_O2_what_cannot_be_one_is_refused_at_its_field_without_repeating_a_secret(make, given, field):
    with pytest.raises(Invalid) as refused:
        make(given)
    assert list(refused.value.errors) == [field] and "s3cret" not in str(refused.value.errors)


def test_O2_targets_are_added_by_preset_with_a_choice_of_events(app, client_as):
    owner = client_as(Role.ADMINISTRATOR)
    shown = owner.get(f"{PAGE}/add/email").text
    assert shown.count('name="events"') == len(events.EVENTS) and shown.count(" checked") == len(
        events.DEFAULT
    )
    refused = owner.send(f"{PAGE}/add/email", {**MAIL, "recipients": "nobody", "events": ["hold"]})
    assert (
        refused.status_code == 422
        and "nobody is not an email address." in refused.text
        and "p@ss" not in refused.text
    )
    nothing = owner.send(f"{PAGE}/add/email", MAIL)
    assert nothing.status_code == 422 and "Choose at least one event." in nothing.text
    assert owner.send(f"{PAGE}/add/email", {**MAIL, "events": ["hold", "conflicts"]}).status_code == 303
    page = owner.get(PAGE).text
    assert (
        "mailtos at smtp.mail.example" in page
        and "People held back, Conflicts" in page
        and "p@ss" not in page
    )
    assert owner.get(f"{PAGE}/add/pigeon").status_code == 404
    assert client_as(Role.TECHNICIAN).get(f"{PAGE}/add/email").status_code == 403


def test_O2_the_events_of_a_target_can_be_changed(app, client_as):
    owner = client_as(Role.ADMINISTRATOR)
    owner.send(f"{PAGE}/add/webhook", {"url": "https://hooks.example/x", "events": ["hold"]})
    with app.app_context():
        (target_id,) = delivery.stored_targets(db.session(), app.extensions["rollcall"].box)
    page = f"{PAGE}/{target_id}/events"
    assert owner.get(page).text.count(" checked") == 1
    assert owner.send(page, {"events": []}).status_code == 422
    assert owner.send(page, {"events": ["everything"]}).status_code == 422
    assert owner.send(page, {"events": list(events.EVENTS)}).status_code == 303
    assert "All events" in owner.get(PAGE).text
    with app.app_context():
        told = (
            db.session.query(AuditEvent)
            .filter_by(action="notifications_changed")
            .order_by(AuditEvent.number.desc())
            .first()
        )
        assert told.detail["changes"] == "events of jsons at hooks.example: All events"
    assert owner.send(f"{PAGE}/gone/events", {"events": ["hold"]}).status_code == 404


def test_O2_each_target_is_told_of_its_events_only(app, monkeypatch):
    runtime = app.extensions["rollcall"]
    sent = []

    def deliver(wanted, notice):
        sent.extend((one.name, notice.kind) for one in wanted)
        return []

    monkeypatch.setattr(delivery, "deliver", deliver)
    with app.app_context():
        session = db.session()
        for host, chosen in (
            ("all.example", tuple(events.EVENTS)),
            ("usual.example", events.DEFAULT),
            ("holds.example", ("hold",)),
        ):
            target = targets.Target("jsons", "", "", host, None, (), (), events=chosen)
            delivery.add_target(session, runtime.box, target, now=utcnow(), by="Ada")
        broken = customers.microsoft_tenant("Broken")
        broken.state, broken.problem, broken.problem_since = "needs_attention", "Consent is gone.", utcnow()
        row = customers.organization("Marula Foods")
        conflict = {"key": "k", "kind": "x", "reason": "r", "object_id": "o", "created_at": utcnow()}
        session.add(Conflict(organization_id=row.id, **conflict))
        session.commit()
    assert announcements.announce(runtime) == 2
    assert sorted(sent) == [
        ("jsons at all.example", "conflicts"),
        ("jsons at all.example", "connection"),
        ("jsons at usual.example", "connection"),
    ]
    assert announcements.announce(runtime) == 0


def test_O2_targets_stored_before_there_were_events_are_told_of_the_usual_ones(app):
    runtime = app.extensions["rollcall"]
    with app.app_context():
        session = db.session()
        delivery.add_target(
            session, runtime.box, targets.parse("jsons://hooks.example"), now=utcnow(), by="Ada"
        )
        row = session.get(StoredSetting, delivery.KEY)
        stored = json.loads(runtime.box.decrypt(row.secret, purpose=delivery.PURPOSE))
        for one in stored:
            del one["events"]
        row.secret = runtime.box.encrypt(json.dumps(stored), purpose=delivery.PURPOSE)
        session.flush()
        (target,) = delivery.stored_targets(session, runtime.box).values()
        assert target.events == events.DEFAULT
