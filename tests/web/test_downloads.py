"""Every file that leaves the portal is named after its customer, where it is about one, and the day, opens in Excel, and is recorded."""

import re

from portal.api import tokens
from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import AuditEvent, SyncRun
from tests.web import customers

ABOUT_NO_CUSTOMER = {
    "microsoft.export",
    "organizations.export",
    "imports.template",
    "settings.export_audit",
    "settings.export_audit_json",
    "api.export_audit_csv",
    "api.export_audit_json",
    "api.export_organizations",
}


def fabrikam(app):
    """A customer with a run: what stands for each part of an address, and the headers of a token that reads."""
    with app.app_context():
        mark_write(db.session())
        organization = customers.organization("Fabrikam Ltd")
        run = SyncRun(
            organization_id=organization.id, trigger="manual", status="succeeded", created_at=utcnow()
        )
        db.session.add(run)
        db.session.flush()
        ids = {"organization_id": organization.id, "run_id": run.id, "what": "end-users"}
        head = {"Authorization": f"Bearer {tokens.create('reader', 'read-only')}"}
        db.session.commit()
    return ids, head


def test_O4_a_file_says_customer_and_day_and_is_recorded_at_every_door(app, client_as):
    ids, head = fabrikam(app)
    reader, api = client_as("read-only"), app.test_client()
    rules = [
        rule
        for rule in app.url_map.iter_rules()
        if re.search(r"\.(csv|json)$", rule.rule) and "GET" in rule.methods
    ]
    seen, taken = set(), []
    for rule in rules:
        if "openapi" in rule.rule:
            continue
        path = re.sub(r"<(?:[^<>]*:)?(\w+)>", lambda found: ids[found[1]], rule.rule)
        address = (
            path
            if "organization_id" in rule.arguments
            else f"{path}?organization_id={ids['organization_id']}"
        )
        if rule.endpoint in ABOUT_NO_CUSTOMER:
            address = path
        answer = api.get(address, headers=head) if path.startswith("/api/") else reader.get(address)
        assert answer.status_code == 200, (address, answer.status_code)
        name = answer.headers["Content-Disposition"].partition('filename="')[2].rstrip('"')
        begin = "" if rule.endpoint in ABOUT_NO_CUSTOMER else "fabrikam-ltd-"
        assert name.startswith(begin), (rule.endpoint, name)
        assert re.search(rf"-{utcnow():%Y-%m-%d}\.{path[-4:].lstrip('.')}$", name), (rule.endpoint, name)
        taken += [] if rule.endpoint == "imports.template" else [len(answer.data)]
        if path.endswith(".csv"):  # for Excel; programs ask for it
            assert answer.data.startswith(b"\xef\xbb\xbf") is not path.startswith("/api/"), rule.endpoint
        if path.startswith("/api/") and path.endswith(".csv"):
            marked = api.get(f"{address}{'&' if '?' in address else '?'}bom=true", headers=head)
            assert marked.data.startswith(b"\xef\xbb\xbf"), rule.endpoint
            taken.append(len(marked.data))
        seen.add(rule.endpoint)
    assert seen >= ABOUT_NO_CUSTOMER | {
        "runs.export",
        "people.export",
        "runs.changes_csv",
        "api.export_all_end_users",
    }
    with app.app_context():
        events = db.session.query(AuditEvent).filter_by(action="exported").order_by(AuditEvent.number)
        assert [event.detail["bytes"] for event in events] == taken
