"""W7, R5: an undo gives back what change records say of a Link: marks, UPN, licenses, scope, and the Link itself."""

import pytest

from portal.clock import utcnow
from portal.engine.explain import spared_words, undone_words
from portal.engine.undo import apply_undo, link_before, plan_undo, put_link_back
from portal.extensions import db
from portal.models import Change, EndUser, SubscribedSku, SyncRun
from portal.models.customers import LINK_COLUMNS, no_link
from tests.web import customers

E3, E5 = "05e9a617-0261-4cee-bb44-138d3ef5d965", "06ebc4ee-1bb5-47dd-8120-11324bc54e06"


@pytest.fixture
def ada(app):
    with app.app_context():
        tenant = customers.microsoft_tenant()
        row = customers.organization("Harborview", tenant)
        user = customers.directory_user(tenant, "Ada Obi", "ada@harborview.example")
        found = customers.end_user(row, "Ada Obi", user.email, linked_to=user)
        found.applied_hash, found.last_sign_in_at, found.written = "h", utcnow(), {"city": "Delft"}
        db.session.add(SubscribedSku(microsoft_tenant_id=tenant.id, sku_id="own", part_number="HARBOR_APP"))
        run = SyncRun(
            id="r",
            organization_id=row.id,
            microsoft_tenant_id=tenant.id,
            trigger="hourly",
            status="succeeded",
            created_at=utcnow(),
        )
        own = SyncRun(
            id="u",
            organization_id=row.id,
            kind="undo",
            trigger="manual",
            status="running",
            created_at=utcnow(),
        )
        db.session.add_all([run, own])
        db.session.commit()
        yield found


def record(ada, *fields, undo=None, **values):
    entries = [dict(zip(("field", "old", "new"), one, strict=True)) for one in fields]
    row = Change(
        run_id="r",
        organization_id=ada.organization_id,
        end_user_id=ada.id,
        reason="fields_differ",
        fields=entries,
        undo=undo or {},
        at=utcnow(),
        **{"object_id": ada.object_id, "decision": "update", **values},
    )
    db.session.add(row)
    db.session.flush()


def undo(ada):
    done = apply_undo(db.session(), "u", "r", ada.organization_id, utcnow())
    db.session.commit()
    return done


def test_W7_marks_upn_licenses_and_scope_go_back_and_the_next_run_looks_again(ada):
    ada.microsoft_status, ada.in_scope, ada.user_principal_name = "disabled", False, "new@x"
    ada.license_sku_ids, ada.is_licensed, ada.license_names = (), False, ""
    before = ada.updated_at
    record(
        ada,
        ("microsoft_status", "active", "disabled"),
        ("in_scope", "true", "false"),
        ("user_principal_name", "old@x", "new@x"),
        ("licenses", f"{E3} own", ""),
    )
    done = undo(ada)
    assert done.spared == () and undone_words(done.restored[0].what) == "details restored, mark restored"
    assert (ada.microsoft_status, ada.in_scope, ada.user_principal_name) == ("active", True, "old@x")
    assert (ada.license_sku_ids, ada.is_licensed, ada.license_names) == (
        (E3, "own"),
        True,
        "HARBOR_APP, Microsoft 365 E3",
    )
    assert (ada.applied_hash, ada.updated_at) == ("", before), "nothing of the person themselves changed"
    assert plan_undo(db.session(), "r").restored == ()


def test_W7_what_is_another_way_by_now_is_spared(ada):
    ada.license_sku_ids = (E5,)
    record(ada, ("licenses", "", E3))
    assert [spared_words(one.reason, one.field) for one in undo(ada).spared] == [
        "licenses was edited since"
    ] and ada.license_sku_ids == (E5,)


def test_W7_the_fields_of_a_link_that_moved_on_are_left_alone(ada):
    ada.user_principal_name = "new@x"
    record(ada, ("user_principal_name", "old@x", "new@x"), object_id="another")
    assert undo(ada).restored == () and ada.user_principal_name == "new@x"


def test_R5_somebody_whom_a_run_created_stays_once_linked_to_another_account(ada):
    """A conflict that was settled since, or a later run, gave the record to somebody else."""
    record(ada, undo={"created": True}, decision="create", object_id="another")
    assert [spared_words(one.reason) for one in undo(ada).spared] == [
        "linked to another Microsoft account since"
    ]
    assert db.session.get(EndUser, ada.id) is not None


def test_W7_a_link_comes_back_whole(ada):
    kept = link_before(ada)
    assert set(kept) == set(LINK_COLUMNS) and isinstance(kept["linked_at"], str)
    put_link_back(ada, None)
    db.session.flush()
    assert {name: getattr(ada, name) for name in LINK_COLUMNS} == no_link() and link_before(ada) is None
    put_link_back(ada, kept)
    db.session.commit()
    assert link_before(ada) == {**kept, "applied_hash": ""}


def test_R5_who_was_linked_by_the_run_is_unlinked_and_the_account_goes_to_whom_it_was_taken_from(ada):
    """The former holder gets the account of somebody who goes, or is unlinked, in the same undo."""
    organization = db.session.get_one(customers.Organization, ada.organization_id)
    other = customers.end_user(organization, "Aaron", "aaron@harborview.example")
    former = link_before(ada)
    object_id = ada.object_id
    customers.link(ada, ada.microsoft_tenant_id, "new-object")
    db.session.flush()
    customers.link(other, ada.microsoft_tenant_id, object_id)
    record(ada, undo={"link": former}, object_id="new-object")
    record(other, undo={"link": None}, object_id=object_id)
    assert undo(ada).spared == ()
    assert (ada.object_id, other.object_id) == (object_id, None)


def test_R5_an_address_goes_back_from_somebody_whom_the_run_created(ada):
    organization = db.session.get_one(customers.Organization, ada.organization_id)
    ada.email, ada.email_key = "new@harborview.example", "new@harborview.example"
    db.session.flush()
    made = customers.end_user(organization, "Successor", "ada@harborview.example", source="sync")
    record(ada, ("email", "ada@harborview.example", "new@harborview.example"))
    record(made, undo={"created": True}, object_id="successor")
    assert len(undo(ada).restored) == 2
    assert [row.email for row in db.session.scalars(db.select(EndUser))] == ["ada@harborview.example"]
