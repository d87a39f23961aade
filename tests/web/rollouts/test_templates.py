"""Filter templates: kept in Settings, set up for many, followed, departed from, changed with a preview (F2)."""

from portal.extensions import db
from portal.models import FilterTemplate, Organization, TemplateFollower
from portal.user_sync import documents
from portal.user_sync import service as user_sync
from tests.web import customers
from tests.web.rollouts.conftest import customer, newest, rows, saved, template

SALES = {"department": {"all": False, "values": ["Sales"]}}
FORM = {f"{name}_all": "y" for name in ("user_type", "domain", "office_location", "department", "group")}


def set_up(app, owner, work, ids, template_id):
    """Preview and enable Organizations with a template; the roll-out's id."""
    assert owner.send("/rollouts", {"id": ids}).status_code == 303
    rollout = newest(app)
    owner.send(f"/rollouts/{rollout}/filters", {"template_id": template_id})
    work()
    chosen = [row.id for row in rows(app, rollout).values() if row.status == "previewed" and row.is_chosen]
    owner.send(f"/rollouts/{rollout}/enable", {"id": chosen})
    work()
    return rollout


def test_F2_a_template_is_made_in_settings_and_what_is_wrong_stands_at_its_section(app, owner):
    bad = owner.send(
        "/settings/filter-templates/new", {"name": " ", **FORM, "department": "Sales", "hold_percent": "x"}
    )
    assert bad.status_code == 422
    for text in ("Enter a name.", "All and 1 value are both chosen", "Not a valid integer"):
        assert text in bad.text
    fine = {k: v for k, v in FORM.items() if k not in {"department_all", "group_all"}}
    made = owner.send(
        "/settings/filter-templates/new",
        {"name": "Members", **fine, "department": "Sales\n(none)\n", "group": "Staff*", "only_licensed": "y"},
    )
    assert made.status_code == 303
    page = owner.get(made.location).text
    assert "Sales, (none)" in page and "Staff*" in page and "Licensed users only" in page
    again = owner.send("/settings/filter-templates/new", {"name": "MEMBERS", **FORM})
    assert again.status_code == 422 and "already a filter template with this name" in again.text
    assert "Members" in owner.get("/settings/filter-templates").text


def test_F2_F3_one_preview_over_all_the_worst_first_and_only_the_checked_are_enabled(app, owner, work, write):
    def build():
        right, wrong, grouped = customer("Right"), customer("Wrong"), customer("Grouped", groups=["Staff"])
        organization = db.session.get(Organization, wrong)
        for number in range(6):
            customers.end_user(organization, f"Old {number}", f"old{number}@elsewhere.example")
        return (
            right,
            wrong,
            grouped,
            template(filters={"group": {"all": False, "name_patterns": ["Staff*", "Team*"]}}),
            template("All"),
        )

    right, wrong, grouped, staff, everybody = write(build)
    set_up(app, owner, work, [right, grouped], staff)
    rollout = newest(app)
    found = rows(app, rollout)
    assert found["Grouped"].status == "enabled" and found["Right"].status == "blocked"
    assert "No group in Right matches" in found["Right"].problem
    assert len(saved(app, grouped)["filters"]["group"]["values"]) == 1
    page = owner.get(f"/rollouts/{rollout}").text
    assert "No group in Right matches" in page and "Try again" in page

    owner.send("/rollouts", {"id": [right, wrong]})
    rollout = newest(app)
    owner.send(f"/rollouts/{rollout}/filters", {"template_id": everybody})
    work()
    page = owner.get(f"/rollouts/{rollout}").text
    assert page.index(">Wrong<") < page.index(">Right<"), "the worst first"
    assert "This may be the wrong Microsoft tenant: none of 6" in page
    found = rows(app, rollout)
    assert found["Right"].is_chosen and not found["Wrong"].is_chosen
    owner.send(f"/rollouts/{rollout}/enable", {"id": found["Right"].id})
    work()
    assert saved(app, right) is not None and saved(app, wrong) is None
    assert "Departs from the template" in owner.get(f"/settings/filter-templates/{everybody}").text


def test_U12_what_moved_since_the_preview_is_shown_again_instead_of_enabled(app, owner, work, write):
    organization, everybody = write(lambda: (customer("Moving"), template()))
    owner.send("/rollouts", {"id": organization})
    rollout = newest(app)
    owner.send(f"/rollouts/{rollout}/filters", {"template_id": everybody})
    work()

    def another():
        tenant = db.session.get(Organization, organization).tenant.microsoft_tenant_id
        customers.directory_user(
            db.session.get(customers.MicrosoftTenant, tenant), "Late Comer", "late@moving.example"
        )

    write(another)
    row = rows(app, rollout)["Moving"]
    owner.send(f"/rollouts/{rollout}/enable", {"id": row.id})
    work()
    row = rows(app, rollout)["Moving"]
    assert (
        row.status == "previewed"
        and "changed since this preview" in row.problem
        and saved(app, organization) is None
    )
    assert row.preview["counts"]["created"] == 4
    owner.send(f"/rollouts/{rollout}/enable", {"id": row.id})
    work()
    assert saved(app, organization) is not None


def test_F2_U11_a_changed_template_shows_who_enters_and_leaves_before_it_is_saved(app, owner, work, write):
    """Over 50 lines: one template's life from a change to its end; each step looks at what the one before it left."""
    first, second, third, followed = write(
        lambda: (customer("One"), customer("Two"), customer("Three"), template())
    )
    set_up(app, owner, work, [first, second, third], followed)

    def link_and_depart():
        for organization_id in (first, second, third):
            organization = db.session.get(Organization, organization_id)
            tenant = organization.tenant.microsoft_tenant_id
            for user in db.session.query(customers.DirectoryUser).filter_by(microsoft_tenant_id=tenant):
                customers.end_user(organization, user.display_name, user.email, linked_to=user, source="sync")
        departing = db.session.get(Organization, second)
        own = documents.saved_request(user_sync.find(departing))
        own["filters"] = {**own["filters"], "user_type": {"all": False, "values": ["Member"]}}
        user_sync.put(departing, own)

    write(link_and_depart)
    assert "Member" in owner.get(f"/organizations/{second}").text
    form = {
        **{k: v for k, v in FORM.items() if k != "department_all"},
        "department": "Sales",
        "name": "Members of Sales",
    }
    answer = owner.send(f"/settings/filter-templates/{followed}/edit", form)
    rollout = newest(app)
    assert answer.location == f"/rollouts/{rollout}"
    work()
    with app.app_context():
        assert db.session.get(FilterTemplate, followed).name == "Members", (
            "nothing is saved before it was looked at"
        )
    page = owner.get(f"/rollouts/{rollout}").text
    assert page.count("1 leaving") == 3 and "One Person 0" in page and "Keeps its own: User Type." in page
    found = rows(app, rollout)
    owner.send(f"/rollouts/{rollout}/enable", {"id": [found["One"].id, found["Two"].id]})
    work()
    assert saved(app, first)["filters"]["department"]["values"] == ["Sales"]
    two = saved(app, second)["filters"]
    assert two["department"]["values"] == ["Sales"] and two["user_type"]["values"] == ["Member"]
    assert saved(app, third)["filters"]["department"]["all"], "whom was unchecked keeps the filters"
    page = owner.get(f"/settings/filter-templates/{followed}").text
    assert "Members of Sales" in page and page.count("instead of") == 2
    own = owner.get(f"/organizations/{third}").text
    assert "Back to the template" in own and "Department" in own

    owner.send(f"/organizations/{third}/filter-template/back")
    work()
    rollout = newest(app)
    owner.send(f"/rollouts/{rollout}/enable", {"id": rows(app, rollout)["Three"].id})
    work()
    assert saved(app, third)["filters"]["department"]["values"] == ["Sales"]
    assert "Back to the template" not in owner.get(f"/organizations/{third}").text
    owner.send(f"/organizations/{third}/filter-template/leave")
    with app.app_context():
        assert db.session.get(TemplateFollower, third) is None
    assert owner.send(f"/settings/filter-templates/{followed}/delete").status_code == 303
    assert saved(app, first) is not None


def test_F2_a_template_that_was_changed_meanwhile_is_not_overwritten(app, owner, work, write):
    organization, followed = write(lambda: (customer("Raced"), template()))
    set_up(app, owner, work, [organization], followed)
    owner.send(
        f"/settings/filter-templates/{followed}/edit", {**FORM, "name": "Members", "only_licensed": "y"}
    )
    mine = newest(app)
    owner.send(
        f"/settings/filter-templates/{followed}/edit", {**FORM, "name": "Members", "include_agents": "y"}
    )
    others = newest(app)
    work()
    owner.send(f"/rollouts/{others}/enable", {"id": rows(app, others)["Raced"].id})
    refused = owner.send(f"/rollouts/{mine}/enable", {"id": rows(app, mine)["Raced"].id})
    assert refused.status_code == 409 and "Someone else changed the template" in refused.text
    work()
    assert saved(app, organization)["include_agents"] and not saved(app, organization)["only_licensed"]
