"""D2, W5: Assets go to whom the mirror's devices say, as far as these people are in Microsoft still."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal.engine.asset_owners import assign_assets
from portal.extensions import tune_engine
from portal.models import (
    Asset,
    AssetMac,
    AssetReport,
    DirectoryUser,
    EndUser,
    ManagedDevice,
    MicrosoftTenant,
    Organization,
    Tenant,
)

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
OWN, DOCK = "A87EEABC6AC9", "A87EEABC6ACA"


@pytest.fixture(params=["sqlite", "postgresql"])
def session(request, prepared):
    engine = tune_engine(sa.create_engine(prepared(request.param)))
    with Session(engine) as session:
        for row in (
            MicrosoftTenant(id="m", directory_id="d", name="M", connected_at=NOW),
            Tenant(id="t", name="T", microsoft_tenant_id="m", created_at=NOW),
            Organization(id="o", name="O", name_key="o", tenant_id="t", created_at=NOW),
        ):
            session.add(row)
            session.flush()
        yield session
    engine.dispose()


def somebody(session, object_id, *macs, presence="present"):
    session.add(
        DirectoryUser(
            microsoft_tenant_id="m",
            object_id=object_id,
            raw="{}",
            row_hash="",
            content_hash="",
            presence=presence,
        )
    )
    session.add(
        EndUser(
            id=f"e-{object_id}",
            organization_id="o",
            microsoft_tenant_id="m",
            object_id=object_id,
            created_at=NOW,
            updated_at=NOW,
        )
    )
    for number, mac in enumerate(macs):
        session.add(
            ManagedDevice(
                microsoft_tenant_id="m",
                device_id=f"{object_id}{number}",
                user_object_id=object_id,
                wifi_mac=mac,
            )
        )
    session.flush()


def owner(session, *macs):
    session.add(
        Asset(
            id="a",
            organization_id="o",
            name="A",
            created_at=NOW,
            updated_at=NOW,
            macs=[AssetMac(mac=mac) for mac in macs],
        )
    )
    session.flush()
    assign_assets(session, "m", "o", NOW)
    return session.get(Asset, "a").end_user_id, [row.mac for row in session.scalars(sa.select(AssetReport))]


def test_W5_a_dock_is_reported_and_does_not_keep_an_asset_from_its_owner(session):
    somebody(session, "u", OWN, DOCK)
    somebody(session, "v", DOCK)
    assert owner(session, OWN, DOCK) == ("e-u", [DOCK])
    assert "so it was not used" in session.scalar(sa.select(AssetReport.reason))


@pytest.mark.parametrize("presence", ["soft_deleted", "gone"])
def test_W5_a_device_whose_user_is_gone_counts_for_nobody(session, presence):
    somebody(session, "left", OWN, presence=presence)
    somebody(session, "successor", OWN)
    assert owner(session, OWN) == ("e-successor", [])
