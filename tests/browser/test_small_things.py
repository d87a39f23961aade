"""What a trial stumbled over: panels that stay open, toasts over dialogs, Enter, and what is out of view on a phone."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from portal import audit, create_app
from portal.clock import utcnow
from portal.config import Settings
from portal.extensions import db, mark_write
from portal.models import Conflict
from tests import templates
from tests.browser.guard import Guard
from tests.browser.running_portal import looking
from tests.web import customers

PHONE = {"width": 390, "height": 700}


@pytest.fixture
def app(tmp_path: Path, sqlite_template: Path) -> Iterator[Flask]:
    templates.copy(sqlite_template, tmp_path / "rollcall.db")
    app = create_app(
        Settings(
            data_dir=tmp_path,
            secret_key="k" * 40,
            scheduler="off",
            client_id="client",
            client_secret="secret",
        )
    )
    with app.app_context():
        mark_write(db.session())
        microsoft = customers.microsoft_tenant()
        row = customers.organization("Harborview", microsoft=microsoft)
        for number in range(3):
            customers.directory_user(microsoft, f"Twin {number}", f"twin{number}@harborview.example")
            customers.end_user(
                row, f"Person {number}", f"somebody.with.a.long.name.{number}@harborview.example"
            )
            conflict = Conflict(
                organization_id=row.id, key=str(number), kind="duplicate_remote_email", reason="r"
            )
            conflict.object_id, conflict.display_name, conflict.created_at = (
                f"o{number}",
                f"Twin {number}",
                utcnow(),
            )
            db.session.add(conflict)
        app.config["TRIAL"] = {
            "own": f"/organizations/{row.id}",
            "tenant": f"/tenants/{row.tenant_id}",
        }
        db.session.commit()
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def base(app: Flask, page: Page, guard: Guard) -> Iterator[str]:
    with looking(app, page, guard) as address:
        yield address


@pytest.mark.parametrize("width", [390, 1280])
def test_G7_U13_a_long_name_without_a_blank_does_not_widen_a_page(
    app: Flask, page: Page, base: str, width: int
) -> None:
    name = "Z" * 256
    with app.app_context():
        mark_write(db.session())
        row = customers.organization(name)
        person = customers.end_user(row, name, "long@harborview.example")
        person.job_title = person.department = name
        audit.record(db.session(), "organization_created", object_id=row.id, name=name)
        paths = [f"/organizations/{row.id}", f"/organizations/{row.id}/recovery", f"/end-users/{person.id}"]
        db.session.commit()
    page.set_viewport_size({"width": width, "height": 700})
    for path in [*paths, "/settings/audit", "/organizations", "/people"]:
        page.goto(base + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_P5_the_filter_panel_closes_by_escape_outside_and_after_apply(
    app: Flask, page: Page, base: str
) -> None:
    page.goto(f"{base}{app.config['TRIAL']['own']}/end-users")
    panel, button = (
        page.locator("#users_table-filters"),
        page.get_by_role("button", name="Filter", exact=True),
    )
    button.click()
    expect(panel).to_be_visible()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    button.click()
    page.mouse.click(20, 600)
    expect(panel).to_be_hidden()
    button.click()
    panel.get_by_label("Source").select_option(value="manual")
    panel.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("link", name=re.compile("remove this filter"))).to_be_visible()
    expect(panel).to_be_hidden()
    expect(button).to_be_focused()


def test_P5_addresses_are_shown_whole(app: Flask, page: Page, base: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{base}{app.config['TRIAL']['own']}/end-users")
    cut = "els => els.filter(e => e.scrollWidth > e.clientWidth || getComputedStyle(e).textOverflow === 'ellipsis' && e.scrollWidth > e.clientWidth).length"
    assert page.locator("td.rc-mail").count() == 3
    assert page.eval_on_selector_all("td.rc-mail", cut) == 0


def test_U13_a_toast_covers_no_dialog_on_a_phone(app: Flask, page: Page, base: str) -> None:
    page.set_viewport_size(PHONE)
    page.goto(f"{base}{app.config['TRIAL']['tenant']}")
    page.get_by_role("link", name="Remap…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.evaluate("""() => {
        const toasts = document.getElementById("toasts");
        toasts.innerHTML = '<div class="rc-toast rc-toast-bad" role="alert"><div>The portal does not answer. Try again.</div></div>';
        document.getElementById("dialog").append(toasts);
    }""")
    toast = page.locator(".rc-toast").bounding_box()
    for part in (".rc-dialog-head", ".rc-dialog-body", ".rc-dialog-foot"):
        box = dialog.locator(part).bounding_box()
        assert toast and box
        assert toast["y"] + toast["height"] <= box["y"] + 1 or toast["y"] >= box["y"] + box["height"] - 1, (
            part
        )
    assert toast["y"] >= 0


def test_P2_set_up_is_in_view_on_a_phone(app: Flask, page: Page, base: str) -> None:
    page.set_viewport_size(PHONE)
    page.goto(f"{base}{app.config['TRIAL']['tenant']}")
    expect(page.get_by_role("link", name=re.compile("^Set Up"))).to_be_in_viewport()


@pytest.mark.parametrize("address", ["/microsoft-tenants/connect", "/settings/notifications/add/slack"])
def test_F6_enter_does_the_primary_thing(app: Flask, page: Page, base: str, address: str) -> None:
    page.goto(base + address)
    pressed = page.evaluate("""() => {
        const form = document.querySelector("main form:has(.btn-primary)");
        return new Promise((done) => {
            form.addEventListener("submit", (event) => { event.preventDefault(); done(event.submitter?.className ?? ""); });
            const field = form.querySelector("input:not([type=hidden])");
            field.required = false;
            form.noValidate = true;
            form.requestSubmit(form.querySelector("button[type=submit], button:not([type])"));
        });
    }""")
    assert "btn-primary" in pressed


def test_M7_conflicts_that_are_checked_are_counted_and_asked_about(app: Flask, page: Page, base: str) -> None:
    page.goto(f"{base}{app.config['TRIAL']['own']}/conflicts")
    page.get_by_role("checkbox", name="Select Twin 1").check()
    page.get_by_role("checkbox", name="Select Twin 2").check()
    expect(page.locator("[data-selected]")).to_have_text("2 selected")
    page.get_by_role("button", name="Ignore selected…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Ignore 2 conflicts?")
    expect(dialog.get_by_role("list", name="Who it is about")).to_contain_text("Twin 1")
    dialog.get_by_role("button", name="Ignore 2 conflicts").click()
    expect(page.locator("article")).to_have_count(1)
