"""What is done to many at once is done in short transactions, of which each looks anew: nobody waits for the whole of it."""

import pytest

from portal.clock import utcnow
from portal.engine import pace
from portal.engine.mirror import removed
from portal.extensions import db, mark_write
from portal.http import parts
from portal.models import (
    Asset,
    AssetMac,
    AuditEvent,
    Change,
    Conflict,
    DirectoryUser,
    EndUser,
    GroupMembership,
    Import,
    ImportRow,
    MicrosoftTenant,
    Organization,
    SyncRun,
    UserSync,
)
from portal.operations import retention
from portal.organizations import removal, tags
from portal.user_sync.documents import default_request
from tests.web import customers


@pytest.fixture
def two_at_a_time(monkeypatch):
    """A list that grows with each part; each does two things."""
    begun = []
    begin = parts.begin_write
    monkeypatch.setattr(parts, "begin_write", lambda session: (begun.append(1), begin(session))[1])
    monkeypatch.setattr(parts, "Pace", lambda _first=None: pace.Pace(2))
    monkeypatch.setattr(pace, "next_size", lambda size, *_told: size)
    monkeypatch.setattr(removal, "FIRST_ROWS", 2)
    return begun


@pytest.fixture
def fleet(app):
    """Five Organizations with an enabled sync, each with a Microsoft tenant of its own; their ids."""
    with app.app_context():
        mark_write(db.session())
        found = []
        for n in range(5):
            row = customers.organization(f"C{n}", microsoft=customers.microsoft_tenant(f"M{n}"))
            filters = default_request()["filters"]
            db.session.add(
                UserSync(
                    organization_id=row.id,
                    enabled=True,
                    filters=filters,
                    enabled_at=utcnow(),
                    updated_at=utcnow(),
                )
            )
            found.append(row.id)
        db.session.commit()
    return found


def number(model, *where):
    return db.session.scalar(db.select(db.func.count()).select_from(model).where(*where))


@pytest.mark.parametrize("action", ["sync", "disable", "tag"])
def test_F3_bulk_actions(app, client_as, fleet, two_at_a_time, action):
    form = {"action": action, "id": fleet, "confirmed": "1", "add": "Gold"}
    assert client_as("technician").send("/organizations/bulk", form).status_code == 303
    assert len(two_at_a_time) == 3
    with app.app_context():
        done = {
            "sync": number(SyncRun, SyncRun.status == "queued"),
            "disable": number(UserSync, UserSync.enabled.is_(False)),
            "tag": number(Organization, tags.tagged("gold")),
        }
        assert done[action] == 5


def test_F1_a_tag_that_one_cannot_have_is_given_to_nobody(app, client_as, fleet, two_at_a_time):
    with app.app_context():
        tags.replace(db.session.get_one(Organization, max(fleet)), [f"t{n}" for n in range(tags.MOST_EACH)])
        db.session.commit()
    form = {"action": "tag", "id": fleet, "confirmed": "1", "add": "Gold"}
    assert client_as("technician").send("/organizations/bulk", form).status_code == 422
    with app.app_context():
        assert (number(Organization, tags.tagged("gold")), two_at_a_time) == (0, [])


def test_M7_settling_conflicts(app, client_as, fleet, two_at_a_time):
    with app.app_context():
        mark_write(db.session())
        for n in range(5):
            db.session.add(
                Conflict(
                    organization_id=fleet[0],
                    key=f"k{n}",
                    kind="email",
                    reason="r",
                    object_id=f"o{n}",
                    created_at=utcnow(),
                )
            )
        db.session.commit()
        ids = list(db.session.scalars(db.select(Conflict.id)))
    form = {"action": "ignore", "sure": "5", "id": ids}
    assert (
        client_as("technician").send(f"/organizations/{fleet[0]}/conflicts/settle", form).status_code == 303
    )
    assert len(two_at_a_time) == 3
    with app.app_context():
        assert number(Conflict, Conflict.resolution == "ignore") == 5


@pytest.fixture
def large(app):
    """An Organization with rows of every kind that goes with it."""
    with app.app_context():
        mark_write(db.session())
        row = customers.organization("Large")
        run = SyncRun(organization_id=row.id, trigger="manual", status="succeeded", created_at=utcnow())
        load = Import(organization_id=row.id, kind="end_users", status="succeeded", created_at=utcnow())
        db.session.add_all([run, load])
        db.session.flush()
        for n in range(3):
            person = customers.end_user(row, f"P{n}", f"p{n}@x.example")
            asset = Asset(
                organization_id=row.id,
                name=f"A{n}",
                end_user_id=person.id,
                created_at=utcnow(),
                updated_at=utcnow(),
            )
            asset.macs = [AssetMac(mac=f"00:00:00:00:00:0{n}")]
            change = Change(
                run_id=run.id,
                organization_id=row.id,
                end_user_id=person.id,
                object_id=f"o{n}",
                decision="create",
                reason="new",
                at=utcnow(),
            )
            db.session.add_all(
                [
                    asset,
                    change,
                    ImportRow(
                        import_id=load.id, line=n + 2, action="create", object_id=person.id, at=utcnow()
                    ),
                ]
            )
        db.session.commit()
        return row.id


def left():
    return sum(
        number(model)
        for model in (Organization, EndUser, Asset, AssetMac, Change, SyncRun, Import, ImportRow)
    )


def test_P3_deleting_a_large_organization(app, client_as, large, two_at_a_time):
    assert client_as().send(f"/organizations/{large}/delete").status_code == 303
    assert len(two_at_a_time) == 8, "3 people, Assets, MACs, changes and rows of imports"
    with app.app_context():
        assert left() == 0
        told = [
            (row.action, row.detail.get("count"))
            for row in db.session.query(AuditEvent).order_by(AuditEvent.number)
        ]
        assert told[1:10] == [
            *[("organization_deleted_in_part", 2)] * 7,
            ("organization_deleted_in_part", 1),
            ("organization_deleted", None),
        ]


def test_R2_deleting_stops_when_its_sync_is_enabled_meanwhile(
    app, client_as, large, two_at_a_time, monkeypatch
):
    some = removal.bulk.delete_some

    def enabled_after_the_first(session, rows, size):
        done = some(session, rows, size)
        session.add(
            UserSync(
                organization_id=large, enabled=True, filters={}, enabled_at=utcnow(), updated_at=utcnow()
            )
        )
        return done

    monkeypatch.setattr(removal.bulk, "delete_some", enabled_after_the_first)
    assert client_as().send(f"/organizations/{large}/delete").status_code == 409
    with app.app_context():
        assert (number(Organization), number(AssetMac), number(Asset), len(two_at_a_time)) == (1, 1, 3, 2)


@pytest.fixture
def mirrored(app):
    """A Microsoft tenant that is not mapped, with five users and their memberships."""
    with app.app_context():
        mark_write(db.session())
        row = customers.microsoft_tenant("Fabrikam")
        for n in range(5):
            user = customers.directory_user(row, f"U{n}", f"u{n}@x.example")
            db.session.add(
                GroupMembership(
                    microsoft_tenant_id=row.id, group_object_id="g", user_object_id=user.object_id
                )
            )
        db.session.commit()
        return row.id


def test_R2_removing_a_microsoft_tenant_takes_its_mirror_along(app, client_as, mirrored, two_at_a_time):
    assert client_as().send(f"/microsoft-tenants/{mirrored}/remove", {"name": "Fabrikam"}).status_code == 303
    assert len(two_at_a_time) == 5
    with app.app_context():
        assert number(DirectoryUser) == number(GroupMembership) == 0


def test_R2_what_is_left_of_a_mirror_is_not_found_and_goes_with_the_next_round(
    app, client_as, mirrored, monkeypatch
):
    browser = client_as()
    assert "u0@x.example" in browser.get("/search?q=U0").text
    monkeypatch.setattr(removed, "MODELS", ())  # as if the process had ended there
    browser.send(f"/microsoft-tenants/{mirrored}/remove", {"name": "Fabrikam"})
    monkeypatch.undo()
    assert "u0@x.example" not in browser.get("/search?q=U0").text
    with app.app_context():
        mark_write(db.session())
        assert number(DirectoryUser) == 5
        assert retention.forget_old(db.session(), utcnow()) == 10
        db.session.commit()
        assert number(DirectoryUser) == number(GroupMembership) == 0


def test_L7_a_mirror_that_is_read_anew_meanwhile_stays(app, mirrored):
    with app.app_context():
        mark_write(db.session())
        assert removed.forget(db.session(), mirrored, 100) == 0
        db.session.get_one(MicrosoftTenant, mirrored).state = "removed"
        db.session.flush()
        assert removed.forget(db.session(), mirrored, 3) == 3
        assert number(DirectoryUser) + number(GroupMembership) == 7
