"""The journeys of product.md in a real browser, on the simulator over HTTPS, with and without JavaScript."""

import re
import threading
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from werkzeug.serving import make_server

from portal import create_app
from portal.auth import service as auth
from portal.clock import utcnow
from portal.config import Settings
from portal.end_users import service as end_users
from portal.extensions import db, mark_write
from portal.microsoft import service as microsoft
from portal.models import Base, EndUser, Organization, SyncRun
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


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_P6_P14_a_technician_finds_pins_and_deletes_a_person_for_good(visit, portal, script):
    person = add_person(portal, f"Pia {'Script' if script else 'Plain'}")
    page = visit("technician", java_script_enabled=script)
    page.get_by_role("searchbox", name="Find an Organization or person").fill("Pia")
    page.keyboard.press("Enter")
    page.get_by_role("link", name=person).click()
    page.get_by_label("Job title").fill("Fitter")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Job title")).to_have_value("Fitter")
    page.get_by_role("link", name="Why?").click()
    if script:
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
    else:
        page.get_by_role("link", name="Close").click()
    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("button", name="Delete End User").click()
    expect(page.get_by_text(f"{person} is deleted.")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_P5_the_table_keeps_its_state_in_the_address(visit, portal, script):
    for name in ("Quin Able", "Quin Baker"):
        add_person(portal, f"{name} {script}")
    page = visit("technician", java_script_enabled=script)
    page.goto(f"/organizations/{portal.config['FIRST']}/end-users?source=manual")
    expect(page.get_by_role("link", name=re.compile("^Source: Entered by hand"))).to_be_visible()
    page.get_by_role("searchbox", name="Quick search").fill(f"quin {script}")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"source=manual.*q=quin|q=quin.*source=manual"))
    expect(page.get_by_text(re.compile(r"1–2 of 2 filtered"))).to_be_visible()
    page.get_by_role("columnheader", name="Name").get_by_role("link").click()
    expect(page).to_have_url(re.compile("sort=-name"))
    expect(page.locator("tbody tr").first).to_contain_text("Quin Baker")
    with page.expect_download() as caught:
        page.get_by_role("link", name="Export CSV").click()
    assert len(caught.value.path().read_text().strip().splitlines()) == 3
    page.get_by_role("checkbox", name=re.compile("Select Quin Able")).check()
    page.get_by_role("button", name="Delete…", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Delete")
    page.get_by_role("button", name=re.compile("^Delete")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(first_name(portal))
    page.goto(f"/organizations/{portal.config['FIRST']}/end-users?q=quin+{script}")
    expect(page.get_by_text(re.compile(r"1–1 of 1 filtered"))).to_be_visible()


def test_U13_dialogs_are_accessible_in_both_themes_and_widths(visit, portal):
    with portal.app_context():
        tenant_id = db.session.get(Organization, portal.config["FIRST"]).tenant_id
    page = visit()
    found = []
    for opener in (re.compile("^Set Up"), "Unmap…", "Remap…", "Rename this Tenant"):
        page.goto(f"/tenants/{tenant_id}")
        page.get_by_role("link", name=opener).first.click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("heading").first).to_be_visible()
        dialog.evaluate("node => node.querySelectorAll('details').forEach(one => { one.open = true; })")
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                where = f"{opener} at {width} {scheme}"
                found += [(where, v["id"], v["nodes"][0]["html"][:160]) for v in Axe().run(page).response["violations"]]
        page.set_viewport_size({"width": 1280, "height": 900})
    page.goto("about:blank")
    assert found == []


def add_person(portal, name):
    with portal.app_context():
        mark_write(db.session())
        end_users.create(portal.config["FIRST"], {"display_name": name, "email": f"{name.replace(' ', '.')}@hand.example"})
        db.session.commit()
    return name


def pages(portal):
    person = add_person(portal, f"Somebody {uuid4()}")
    with portal.app_context():
        organization = db.session.get(Organization, portal.config["FIRST"])
        row = db.session.scalar(db.select(EndUser).where(EndUser.display_name == person))
        run = db.session.scalar(db.select(SyncRun.id).order_by(SyncRun.created_at))
        directory = organization.tenant.microsoft_tenant_id
        more = [f"/sync-runs/{run}", f"/sync-runs/{run}/undo"] if run else []
        return [
            *more, f"/end-users/{row.id}", f"/end-users/{row.id}/why", f"/end-users/{row.id}/delete",
            f"/organizations/{organization.id}/conflicts", f"/organizations/{organization.id}/end-users/new",
            f"/organizations/{organization.id}/end-users/import", f"/organizations/{organization.id}/edit",
            f"/organizations/{organization.id}/user-sync/status", f"/microsoft-tenants/{directory}",
            f"/microsoft-tenants/{directory}/coverage", "/microsoft-tenants/discover",
            f"/tenants/{organization.tenant_id}/map", f"/tenants/{organization.tenant_id}/unmap",
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
