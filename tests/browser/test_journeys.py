"""The journeys of product.md in a real browser, on the simulator over HTTPS, with and without JavaScript."""

import re
import threading

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from werkzeug.serving import make_server

from portal import create_app
from portal.auth import service as auth
from portal.clock import utcnow
from portal.config import Settings
from portal.extensions import db
from portal.microsoft import service as microsoft
from portal.models import Base, Organization
from portal.organizations import service as organizations
from portal.scheduler import Scheduler
from portal.simulator.server import SimulatorServer
from portal.simulator.world import World
from portal.tenants import service as tenants

PASSWORD = "correct horse battery"
PEOPLE = {"administrator": "ada@rollcall.example", "technician": "theo@rollcall.example"}


@pytest.fixture(scope="module")
def portal(tmp_path_factory):
    """A portal at work: two Microsoft tenants connected, the first one mapped."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("portal")
    with SimulatorServer(World(tenants=2, users=[60, 30], seed=3)) as simulator:
        patch.setenv("REQUESTS_CA_BUNDLE", simulator.ca_file)
        app = create_app(
            Settings(
                data_dir=folder,
                client_id=simulator.client_id,
                client_secret=simulator.client_secret,
                login_url=simulator.base_url,
                graph_url=simulator.base_url,
                scheduler="off",
            )
        )
        with app.app_context():
            Base.metadata.create_all(db.engine)
            for role, email in PEOPLE.items():
                auth.add_account(db.session(), email=email, role=role, password=PASSWORD, now=utcnow())
            for number, directory_id in enumerate(simulator.tenant_ids):
                row = microsoft.connect(directory_id)
                organization = organizations.create(row.name)
                if number == 0:
                    tenants.map_microsoft_tenant(organization.tenant, row)
                    app.config["FIRST"] = organization.id
            db.session.commit()
        scheduler = Scheduler(app)
        scheduler.start()
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        app.config["BASE"] = f"http://127.0.0.1:{server.server_port}"
        yield app
        server.shutdown()
        thread.join()
        server.server_close()
        scheduler.stop(wait=10)
        with app.app_context():
            db.engine.dispose()
    patch.undo()


@pytest.fixture
def visit(browser, portal):
    """Open a browser for somebody; a console error, a CSP violation or a request to another host fails the test."""
    contexts, trouble = [], []

    def sign_in(role="administrator", **options):
        context = browser.new_context(base_url=portal.config["BASE"], **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: trouble.append(m.text) if m.type == "error" and not re.search("status of 4(04|22)", m.text) else None)
        page.on("pageerror", lambda e: trouble.append(str(e)))
        page.on("request", lambda r: trouble.append(r.url) if not r.url.startswith((portal.config["BASE"], "data:")) else None)
        page.goto("/login")
        page.get_by_label("Email").fill(PEOPLE[role])
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard")
        return page

    yield sign_in
    for context in contexts:
        context.close()
    assert trouble == []


def first_name(portal):
    with portal.app_context():
        return db.session.get(Organization, portal.config["FIRST"]).name


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_U6_from_sign_in_to_visible_end_users_in_under_ten_clicks(visit, portal, script):
    page = visit(java_script_enabled=script)
    name = first_name(portal)
    page.get_by_role("link", name="Organizations", exact=True).click()  # sign-in was the first click
    page.get_by_role("rowheader", name=name).get_by_role("link").click()
    page.get_by_role("link", name=re.compile("Set Up Microsoft User Sync|Manage$")).first.click()
    column = page.get_by_role("row", name=re.compile(name))
    column.get_by_role("link", name=re.compile("^Set Up")).click()
    page.get_by_role("button", name="Enable Sync").click()
    if script:
        expect(page.get_by_role("dialog")).to_contain_text("in progress")
        page.get_by_role("dialog").get_by_role("link", name="Close", exact=True).click()
    else:
        page.goto(f"/organizations/{portal.config['FIRST']}")
        page.get_by_role("link", name="Manage", exact=True).click()
    enabled = page.get_by_role("row", name=re.compile(name)).get_by_text("Enabled", exact=True)
    if script:
        expect(enabled).to_be_visible(timeout=30_000)
    else:
        for _ in range(200):
            if enabled.is_visible():
                break
            page.reload()
    page.get_by_role("rowheader", name=name).get_by_role("link").click()
    expect(page.locator("tbody tr").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"1–50 of \d\d"))).to_be_visible()
    # U8: and off again, for the next test
    page.goto(f"/organizations/{portal.config['FIRST']}/user-sync/disable")
    page.get_by_role("button", name=re.compile("Disable")).click()
    expect(page.get_by_role("link", name=re.compile("^Set Up"))).to_be_visible()


def test_R2_a_technician_is_told_what_is_in_the_way_of_unmapping(visit, portal):
    with portal.app_context():
        tenant_id = db.session.get(Organization, portal.config["FIRST"]).tenant_id
    page = visit("technician")
    page.goto(f"/tenants/{tenant_id}")
    expect(page.get_by_role("link", name=re.compile("^Set Up"))).to_have_count(0)
    page.get_by_role("link", name="Unmap…").click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Unmap")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def pages(portal):
    with portal.app_context():
        organization = db.session.get(Organization, portal.config["FIRST"])
        return [
            "/", "/organizations", f"/organizations/{organization.id}", f"/organizations/{organization.id}/end-users",
            f"/organizations/{organization.id}/assets", f"/organizations/{organization.id}/history",
            f"/organizations/{organization.id}/exceptions", f"/organizations/{organization.id}/recovery",
            f"/organizations/{organization.id}/user-sync", f"/tenants/{organization.tenant_id}", "/microsoft-tenants",
            "/microsoft-tenants/connect", "/sync-runs", "/settings/about", "/settings/people", "/settings/tokens",
            "/settings/microsoft", "/settings/notifications", "/settings/audit", "/account", "/search?q=a", "/nowhere",
        ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_U13_every_page_is_accessible_and_fits(visit, portal, scheme, width):
    page = visit(color_scheme=scheme, viewport={"width": width, "height": 900})
    found = []
    for path in pages(portal):
        page.goto(path)
        for violation in Axe().run(page).response["violations"]:
            found.append((path, violation["id"], [node["html"][:160] for node in violation["nodes"][:3]]))
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append((path, "scrolls sideways"))
    page.goto("about:blank")
    assert [f for f in found if f[0] != "/nowhere" or f[1] != "document-title"] == []
