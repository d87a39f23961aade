"""U1 to U3, P7: the set-up pop-up, its sections, and the values in each."""

import re

import pytest

from portal.engine.options import options
from portal.extensions import db, mark_write
from portal.models import MicrosoftTenant, Role, UserSync
from tests.web import customers
from tests.web.user_sync.forms import everything, url


@pytest.mark.parametrize("role", list(Role))
def test_U1_the_pop_up_is_a_page_naming_both_sides(client_as, customer, role):
    page = client_as(role).get(url(customer))
    text = page.get_data(as_text=True)
    assert page.status_code == 200
    assert (
        "Set Up Microsoft Entra ID User Sync" in text
        and "Harborview Foundation" in text
        and "Harborview Health" in text
    )
    assert '>4</span> <span class="text-secondary">of 4' in text
    assert ("Enable Sync</button>" in text) == (role is Role.ADMINISTRATOR)
    assert ("Ask an administrator" in text) == (role is not Role.ADMINISTRATOR)


def test_U1_the_dialog_is_a_block_of_the_same_page(client_as, customer):
    page = client_as().htmx(url(customer), "dialog")
    text = page.get_data(as_text=True)
    assert page.status_code == 200 and "<html" not in text
    assert 'id="dialog-title"' in text and 'action="' + url(customer) in text


def test_U2_each_section_lists_values_with_counts_and_none_last(client_as, customer):
    text = client_as().get(url(customer)).get_data(as_text=True)
    for word in ("User Type", "Domain", "Office Location", "Department", "Group"):
        assert f"<strong>{word}</strong>" in text
    departments = text[text.index('id="department-values"') : text.index('id="group-section"')]
    assert departments.index("Fundraising") < departments.index("Legal") < departments.index("(none)")
    assert "not counted yet" in text


def test_S3_spellings_of_one_department_are_one_entry_with_all_their_people(app, customer):
    with app.app_context():
        microsoft = db.session.query(MicrosoftTenant).one()
        for number, spelling in enumerate(("Fundraising ", "FUNDRAISING", " Fundraising")):
            customers.directory_user(
                microsoft, f"Ed {number}", f"ed{number}@harborview.example", department=spelling
            )
        found = options(db.session(), microsoft.id)["department"]
    assert [(one["label"], one["count"]) for one in found] == [
        ("Fundraising", 5),
        ("Legal", 1),
        ("(none)", 1),
    ]


def test_U3_a_section_with_nothing_checked_is_an_error_in_place(client_as, app, customer):
    page = client_as().send(url(customer), everything(department_all=None, tenant_confirmed="1"))
    text = page.get_data(as_text=True)
    assert page.status_code == 422
    assert "Check at least one department, or All. With nothing checked, nobody could ever match." in text
    assert 'href="#department-section"' in text and "rc-section-bad" in text
    with app.app_context():
        assert db.session.scalar(db.select(UserSync)) is None


def test_U3_every_section_that_is_empty_is_named(client_as, customer):
    page = client_as().htmx(url(customer), "dialog", {}, method="POST")
    text = page.get_data(as_text=True)
    assert page.status_code == 422 and "<html" not in text
    assert text.count("rc-section-bad") == 5 and "5 things are needed first" in text


def test_U2_searching_never_loses_what_is_checked(client_as, customer):
    form = everything(department="Legal", department_q="fund")
    text = (
        client_as()
        .htmx(url(customer, "/values/department"), "department-values", form, method="POST")
        .get_data(as_text=True)
    )
    assert 'value="Legal" checked' in text and "Fundraising" in text and "(none)" not in text
    text = client_as(Role.READ_ONLY).get(url(customer, "/values/department?q=legal")).get_data(as_text=True)
    assert "Legal" in text and "Fundraising" not in text
    assert client_as(Role.TECHNICIAN).get(url(customer, "/values/shoe_size")).status_code == 404


def test_U2_the_summary_line_names_three_values_and_counts_more(client_as, app, customer):
    names = ["Depot", "Legal", "Sales", "Yard"]
    with app.app_context():
        microsoft = db.session.query(MicrosoftTenant).one()
        for name in ("Depot", "Sales", "Yard"):
            customers.directory_user(microsoft, f"Of {name}", f"{name}@harborview.example", department=name)
        db.session.commit()
    client = client_as()

    def line(chosen):
        page = client.send(url(customer, "/recount"), everything(department_all=None, department=chosen)).text
        return re.search(r'id="department-choice">([^<]*)<', page)[1]

    assert line(names[:3]) == "Depot, Legal, Sales"
    assert line(names) == "4 departments chosen"


def test_U2_thousands_of_values_render_a_hundred(client_as, app, customer):
    with app.app_context():
        microsoft = db.session.scalar(db.select(MicrosoftTenant))
        for number in range(300):
            customers.directory_user(microsoft, f"P{number}", department=f"Department {number:03d}")
        db.session.commit()
    text = client_as().get(url(customer)).get_data(as_text=True)
    assert text.count('name="department" value=') == 100
    assert "more are not shown. Search to find them." in text and "Search 303 departments" in text


def test_S7_a_value_gone_from_microsoft_keeps_its_check(client_as, app, customer):
    with app.app_context():
        filters = {
            name: {"all": True, "values": []} for name in ("user_type", "domain", "office_location", "group")
        }
        filters["department"] = {"all": False, "values": ["Fundraising", "Legal and Estates"]}
        db.session.add(
            UserSync(organization_id=customer, enabled=True, filters=filters, updated_at=customers.utcnow())
        )
        db.session.commit()
    text = client_as().get(url(customer)).get_data(as_text=True)
    assert "Edit User Sync Filters" in text and ">Save</button>" in text
    assert 'value="Legal and Estates" checked' in text and "nobody in Microsoft has it any more" in text


def test_G7_hostile_names_do_no_harm(client_as, app, customer):
    with app.app_context():
        microsoft = db.session.scalar(db.select(MicrosoftTenant))
        customers.directory_user(
            microsoft, "X", "x@harborview.example", department='"><script>alert(1)</script>'
        )
        customers.group(microsoft, "<img src=x onerror=alert(1)>", [])
        db.session.commit()
    text = client_as().get(url(customer)).get_data(as_text=True)
    assert "<script>alert" not in text and "<img src=x" not in text


def test_P7_waiting_before_the_first_read(client_as, app):
    with app.app_context():
        row = customers.organization("Fresh", customers.microsoft_tenant("New tenant", is_read=False))
        db.session.commit()
        key = row.id
    page = client_as().get(url(key))
    assert page.status_code == 503 and page.headers["Retry-After"]
    assert "first read" in page.get_data(as_text=True)
    dialog = client_as(Role.TECHNICIAN).htmx(url(key), "dialog")
    assert dialog.status_code == 200 and 'hx-trigger="every ' in dialog.get_data(as_text=True)


def test_P7_an_unmapped_organization_is_told_to_map_first(client_as, app):
    with app.app_context():
        row = customers.organization("Lonely")
        db.session.commit()
        key = row.id
    page = client_as().get(url(key))
    assert page.status_code == 409 and "not mapped to a Microsoft tenant yet" in page.get_data(as_text=True)


def test_an_unknown_organization_is_404(client_as):
    assert client_as().get(url("nope")).status_code == 404


@pytest.mark.parametrize("door", ["", "/preview", "/recount"])
def test_U2_all_together_with_values_is_refused_where_it_was_entered(client_as, app, customer, door):
    """Without script nothing unchecks All; it took everybody where two departments were meant."""
    form = everything(department=["Fundraising", "Legal"], tenant_confirmed="1")
    answer = client_as().send(url(customer, door), form)
    assert answer.status_code == 422
    assert (
        "All and 2 values are checked. Uncheck All to accept only what is checked, or uncheck the rest."
        in answer.text
    )
    assert answer.text.count("rc-section-bad") == 1
    with app.app_context():
        assert db.session.scalar(db.select(UserSync)) is None


def test_U2_values_that_the_api_keeps_behind_all_are_not_shown_as_checked(client_as, app, customer):
    """ "All" is what counts then: saving the form as it is has to work."""
    browser = client_as()
    browser.send(url(customer), everything(tenant_confirmed="1"))
    with app.app_context():
        mark_write(db.session())
        row = db.session.scalar(db.select(UserSync))
        row.filters = {**row.filters, "department": {"all": True, "values": ["Fundraising"]}}
        db.session.commit()
    page = browser.get(url(customer)).text
    assert 'name="department" value="Fundraising" checked' not in page
