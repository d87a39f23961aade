"""Who is who in a run: addresses that move, Links that are taken over, two Organizations side by side."""

from portal.models import EndUser, Organization
from portal.models.customers import refresh_search
from tests.sync.directory import account
from tests.sync.steps import started


def test_W4_two_people_swap_addresses_through_the_unique_key(world):
    started(world, 3)
    world.directory.change("u00", mail="u01@x.example")
    world.directory.change("u01", mail="u00@x.example")
    run = world.sync()
    assert (run.counts["updated"], run.counts["conflicts"]) == (2, 0)
    people = world.people()
    assert (people["u00@x.example"][3], people["u01@x.example"][3]) == ("u01", "u00")


def test_W4_somebody_new_takes_over_an_address(world):
    started(world, 2)
    world.directory.change("u00", mail="moved@x.example")
    world.directory.put(account("new", mail="u00@x.example"))
    run = world.sync()
    assert (run.counts["updated"], run.counts["created"], run.counts["conflicts"]) == (1, 1, 0)


def test_M2_W4_who_comes_back_with_an_address_that_is_taken_is_linked_and_only_the_address_is_a_conflict(
    world,
):
    world.directory.put(account("u00", onPremisesImmutableId="im"), account("u01"))
    world.enable()
    world.sync("initial")
    world.directory.drop("u00", "deleted")
    world.directory.put(
        account(
            "back", mail="u01@x.example", onPremisesImmutableId="im", department="Sales", accountEnabled=False
        )
    )
    run = world.sync()
    assert (run.counts["conflicts"], run.counts["in_scope"]) == (1, 2)
    assert world.people()["u00@x.example"] == ("Back", "Sales", "disabled", "back", True)
    assert [(c.kind, c.object_id) for c in world.conflicts()] == [("email_clash", "back")]
    assert {f["field"] for f in world.changes(run.id)["back"].fields} == {
        "display_name",
        "department",
        "user_principal_name",
        "microsoft_status",
    }
    before = world.dump("end_users")
    again = world.sync(anew=True)
    assert world.dump("end_users") == before and world.changes(again.id)["back"].fields == []
    world.sync("manual", kind="undo", undoes_run_id=run.id)
    assert world.people()["u00@x.example"][:4] == ("U00", "IT", "active", "u00")


def test_M3_two_organizations_under_one_tenant_each_have_their_own_link(world):
    with world.sessions() as session:
        first = session.get_one(Organization, world.organization_id)
        other = Organization(
            name="Lagoon", name_key="lagoon", tenant_id=first.tenant_id, created_at=world.now
        )
        session.add(other)
        session.flush()
        row = EndUser(
            organization_id=other.id,
            display_name="Ours",
            email="u01@x.example",
            source="manual",
            created_at=world.now,
            updated_at=world.now,
        )
        refresh_search(row)
        session.add(row)
        session.commit()
        other_id = row.id
    run = started(world, 3)
    assert (run.counts["created"], run.counts["linked"]) == (3, 0)
    with world.sessions() as session:
        row = session.get_one(EndUser, other_id)
        assert (row.display_name, row.object_id) == ("Ours", None), (
            "nobody outside the Organization is touched"
        )


def test_W4_M2_who_came_back_with_an_address_that_somebody_else_has_is_linked_and_updated(world):
    """The Link moves, the other fields follow, the address is the conflict; nothing is said that is not so."""
    world.directory.put(account("old", onPremisesImmutableId="im"))
    world.enable()
    world.sync("initial")
    world.person("Kim", "taken@x.example")
    world.directory.drop("old", reason="deleted")
    world.directory.put(
        account("back", onPremisesImmutableId="im", mail="taken@x.example", department="Sales")
    )
    world.directory.put(account("taken"))
    run = world.sync()
    assert (run.counts["conflicts"], run.counts["gone"]) == (2, 0)
    assert world.people()["old@x.example"] == ("Back", "Sales", "active", "back", True)
    before = world.dump("end_users", "conflicts")
    assert world.sync().counts["conflicts"] == 2 and world.dump("end_users", "conflicts") == before
    undo_id = world.queue("manual", kind="undo", undoes_run_id=run.id)
    world.work()
    assert world.run(undo_id).status == "succeeded"
    assert world.people()["old@x.example"] == ("Old", "IT", "active", "old", True)


def test_M5_R4_links_of_another_microsoft_tenant_are_taken_over(world):
    started(world, 3)
    with world.sessions() as session:
        for link in session.query(EndUser):
            link.object_id = f"old-{link.object_id}"
        session.commit()
    run = world.sync()
    assert (run.counts["linked"], world.count(), len(world.links())) == (3, 3, 3)
