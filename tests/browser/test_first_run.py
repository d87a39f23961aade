"""P11: the first administrator, by the one-time token, with and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import expect

from portal import create_app
from portal.auth import first_administrator
from portal.clock import utcnow
from portal.config import Settings
from portal.extensions import db, mark_write
from tests import templates
from tests.browser.contexts import Contexts
from tests.browser.guard import Guard
from tests.browser.running_portal import BOTH, serving


@pytest.fixture
def new(tmp_path: Path, sqlite_template: Path) -> Iterator[tuple[Flask, str]]:
    """A portal where nobody can sign in yet, and the token that its log shows."""
    templates.copy(sqlite_template, tmp_path / "rollcall.db")
    app = create_app(Settings(data_dir=tmp_path, secret_key="k" * 40, scheduler="off"))
    with app.app_context():
        mark_write(db.session())
        token = first_administrator.new_setup_token(db.session(), utcnow())
        db.session.commit()
    assert token
    yield app, token
    with app.app_context():
        db.engine.dispose()


@BOTH
def test_P11_the_token_from_the_log_makes_the_administrator_once(
    contexts: Contexts, guard: Guard, new: tuple[Flask, str], script: bool
) -> None:
    app, token = new
    with serving(app) as base, contexts.one(guard, base_url=base, java_script_enabled=script) as context:
        guard.home(base)
        guard.expect(422, "/setup")
        guard.allow(401, "/sync-runs/running")  # asked just before the sign-out, answered after it
        page = context.new_page()
        page.goto("/organizations")
        expect(page.get_by_text("creates the first administrator")).to_be_visible()

        page.goto("/setup?token=not-the-token")
        page.get_by_label("Name").fill("Ada Admin")
        page.get_by_label("Email").fill("ada@rollcall.example")
        page.get_by_label("Password").fill("correct horse battery")
        page.get_by_role("button", name="Create administrator").click()
        expect(page.get_by_role("alert")).to_contain_text("This is not the token from the log.")
        expect(page.get_by_label("Name")).to_have_value("Ada Admin")

        page.get_by_label("token").fill(token)
        page.get_by_label("Password").fill("correct horse battery")
        page.get_by_role("button", name="Create administrator").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard")
        page.get_by_role("link", name="Settings").click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()

        page.get_by_role("button", name="Account: Ada Admin, Administrator").click()
        page.get_by_role("button", name="Sign out").click()
        page.goto(f"/setup?token={token}")
        expect(page).to_have_url(re.compile("/login"))
        page.get_by_label("Email").fill("ada@rollcall.example")
        page.get_by_label("Password").fill("correct horse battery")
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard")
