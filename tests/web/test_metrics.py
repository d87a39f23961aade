"""O3: /metrics tells of each Microsoft tenant, and the files in docs/operations name metrics that exist."""

import json
import re

import pytest

from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import MicrosoftTenant, Organization, SyncRun, Tenant, UserSync
from tests.architecture.source import ROOT

OPERATIONS = ROOT / "docs" / "operations"


@pytest.fixture
def fleet(app):
    with app.app_context():
        mark_write(db.session())
        now = utcnow()
        microsoft = MicrosoftTenant(directory_id="d" * 36, name="Very Private Name", connected_at=now)
        db.session.add(microsoft)
        db.session.flush()
        tenant = Tenant(name="Reef", microsoft_tenant_id=microsoft.id, created_at=now)
        organization = Organization(name="Reef", name_key="reef", tenant=tenant, created_at=now)
        db.session.add(organization)
        db.session.flush()
        common = {
            "organization_id": organization.id,
            "microsoft_tenant_id": microsoft.id,
            "generation": 0,
            "created_at": now,
        }
        held = SyncRun(
            **common,
            trigger="hourly",
            status="held",
            started_at=now,
            finished_at=now,
            graph_requests=7,
            throttled_seconds=2.5,
        )
        db.session.add_all([held, SyncRun(**common, trigger="manual", status="queued", lane="delayed")])
        db.session.flush()
        db.session.add(
            UserSync(
                organization_id=organization.id, filters={}, updated_at=now, enabled=True, hold_run_id=held.id
            )
        )
        db.session.commit()
        return microsoft.id


def told(app):
    return app.test_client().get("/metrics").get_data(as_text=True)


def test_O3_each_microsoft_tenant_and_lane_has_its_figures(app, fleet):
    text = told(app)
    name = f'rollcall_microsoft_tenant_%s{{lane="%s",microsoft_tenant="{fleet}"}} %s'
    assert name % ("queued_runs", "delayed", "1.0") in text
    assert (
        name % ("graph_requests", "hourly", "7.0") in text
        and name % ("throttled_seconds", "hourly", "2.5") in text
    )
    assert name % ("run_seconds", "hourly", "0.0") in text
    assert f'rollcall_microsoft_tenant_holds_waiting{{microsoft_tenant="{fleet}"}} 1.0' in text
    assert f'rollcall_microsoft_tenant_last_success_age_seconds{{microsoft_tenant="{fleet}"}}' in text
    assert "Private" not in text


def test_O3_a_tenant_that_was_removed_is_told_of_no_more(app, fleet):
    with app.app_context():
        mark_write(db.session())
        db.session.get(MicrosoftTenant, fleet).state = "removed"
        db.session.commit()
    assert "last_success_age_seconds{" not in told(app)


def test_O3_board_and_alerts_name_metrics_that_exist(app, fleet):
    there = set(re.findall(r"^# TYPE (\w+)", told(app), flags=re.MULTILINE))
    for file in ("grafana.json", "alerts.yml"):
        named = set(re.findall(r"rollcall_\w+", (OPERATIONS / file).read_text(encoding="utf-8")))
        assert named and named <= there, (file, named - there)
    assert json.loads((OPERATIONS / "grafana.json").read_text(encoding="utf-8"))["panels"]
