"""F3: no page asks the database once per row, however many it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event

from portal import audit
from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import (
    Asset,
    AssetMac,
    Change,
    Conflict,
    DirectoryUser,
    EndUser,
    FilterTemplate,
    Organization,
    PartnerCustomer,
    SyncException,
    SyncRun,
    UserSync,
)
from portal.organizations import tags
from portal.user_sync import documents
from tests.web import customers

PAGES = (
    "/",
    "/attention",
    "/attention?kind=conflicts",
    "/organizations",
    "/microsoft-tenants",
    "/microsoft-tenants/{microsoft}/coverage",
    "/microsoft-tenants/discover",
    "/tenants/{tenant}",
    "/organizations/{home}/end-users",
    "/organizations/{home}/assets",
    "/organizations/{home}/exceptions",
    "/organizations/{home}/conflicts",
    "/organizations/{home}/history",
    "/people",
    "/search?q=customer",
    "/sync-runs?show=all",
    "/sync-runs/{run}",
    "/sync-runs/{held}/held",
    "/settings/audit",
    "/settings/filter-templates",
)
ROW = re.compile(r"Customer [0-2][0-9]|href=\"/sync-runs/[-0-9a-f]{36}\"")


class Fleet:
    """Customers with one of everything; one of them, the home, has as many people, runs and decisions as there are customers."""

    def __init__(self) -> None:
        self.microsoft = customers.microsoft_tenant("Customer Home")
        self.home = customers.organization("Customer Home", microsoft=self.microsoft)
        self.tenant = self.home.tenant
        self.run = self._run()
        self.held = self._run(status="held", held={"kind": "disable", "count": 3, "state": "waiting"})
        self._enable(self.home, hold_run_id=self.held.id)
        self.size = 0

    def address(self, path: str) -> str:
        """A page's address, of the home where it needs one."""
        names = ("home", "microsoft", "tenant", "run", "held")
        return path.format(**{name: getattr(self, name).id for name in names})

    def grow(self, size: int) -> None:
        """Add customers up to this many."""
        for number in range(self.size, size):
            name = f"Customer {number:02}"
            self._customer(name, number)
            person = self._person(name, number)
            self._decided(name, person)
        self.size = size

    def _customer(self, name: str, number: int) -> None:
        microsoft = customers.microsoft_tenant(name)
        row = customers.organization(name, microsoft, tenant=self.tenant if number % 2 else None)
        self._enable(row, attention="Three runs failed.", attention_code="failing")
        self._conflict(row.id, customers.directory_user(microsoft, f"{name} Twin", "twin@customer.example"))
        tags.replace(row, ["pod", f"tag {number}"])
        db.session.add(
            SyncRun(
                organization_id=row.id,
                microsoft_tenant_id=microsoft.id,
                trigger="manual",
                status="failed",
                created_at=utcnow(),
            )
        )
        db.session.add(
            FilterTemplate(
                name=name,
                name_key=name.casefold(),
                filters=documents.default_request()["filters"]
                | {"group": {"all": True, "name_patterns": []}},
                created_at=utcnow(),
                updated_at=utcnow(),
            )
        )
        db.session.add(
            PartnerCustomer(
                partner_id=self.microsoft.id,
                directory_id=f"{number:08}-0000-4000-8000-000000000000",
                name=name,
                name_key=name.casefold(),
                seen_at=utcnow(),
            )
        )

    def _person(self, name: str, number: int) -> EndUser:
        found = customers.directory_user(self.microsoft, f"{name} Person", f"p{number}@customer.example")
        customers.directory_user(self.microsoft, f"{name} Absent", f"a{number}@customer.example")
        values = {"linked_to": found, "license_sku_ids": ("x",), "run_id": self.run.id}
        owner = customers.end_user(self.home, found.display_name, found.email, **values)
        pin = SyncException(
            organization_id=self.home.id,
            kind="pin",
            end_user_id=owner.id,
            field="phone",
            created_at=utcnow(),
        )
        asset = Asset(
            organization_id=self.home.id,
            name=f"Asset of {name}",
            end_user_id=owner.id,
            created_at=utcnow(),
            updated_at=utcnow(),
        )
        asset.macs = [AssetMac(mac=f"3C52829A{number:04X}")]
        db.session.add_all((pin, asset))
        return owner

    def _decided(self, name: str, person: EndUser) -> None:
        """The person was created by one run and is held by another, and somebody else wants the address."""
        self._run(trigger="hourly")
        change = {
            "organization_id": self.home.id,
            "object_id": person.object_id,
            "end_user_id": person.id,
            "display_name": person.display_name,
            "at": utcnow(),
        }
        created = Change(run_id=self.run.id, decision="create", reason="new", **change)
        held = Change(run_id=self.held.id, decision="disable", reason="left", state="held", **change)
        db.session.add_all((created, held))
        rival = customers.directory_user(self.microsoft, f"{name} Rival", person.email)
        self._conflict(self.home.id, rival, end_user_id=person.id, other_object_id=person.object_id)
        audit.record(
            db.session(),
            "organization_tagged",
            object_type="organization",
            object_id=self.home.id,
            name=name,
            added=[],
            removed=[],
        )

    @staticmethod
    def _conflict(organization_id: str, rival: DirectoryUser, **values: Any) -> None:
        db.session.add(
            Conflict(
                organization_id=organization_id,
                key=rival.display_name,
                kind="duplicate_email",
                reason="",
                object_id=rival.object_id,
                display_name=rival.display_name,
                email=rival.email,
                created_at=utcnow(),
                **values,
            )
        )

    def _run(self, **values: Any) -> SyncRun:
        fields = {"trigger": "manual", "status": "succeeded", "created_at": utcnow()}
        row = SyncRun(
            organization_id=self.home.id, microsoft_tenant_id=self.microsoft.id, **{**fields, **values}
        )
        db.session.add(row)
        db.session.flush()
        return row

    @staticmethod
    def _enable(row: Organization, **values: Any) -> None:
        now = utcnow()
        fields = {"enabled": True, "initial_done_at": now, "updated_at": now, **values}
        filters = documents.default_request()["filters"]
        db.session.add(UserSync(organization_id=row.id, filters=filters, **fields))


@contextmanager
def statements() -> Iterator[list[str]]:
    """All that is asked of the database within the block."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("path", PAGES)
def test_F3_no_page_asks_once_per_row(app, client_as, path):
    """As many queries for 30 rows as for 3."""
    browser = client_as("administrator")
    fleet = None

    def grown(size: int) -> str:
        nonlocal fleet
        with app.app_context():
            mark_write(db.session())
            fleet = fleet or Fleet()
            fleet.grow(size)
            db.session.commit()
            return fleet.address(path)

    def asked(address: str) -> list[str]:
        with statements() as seen:
            answer = browser.get(address)
        assert answer.status_code == 200
        assert len(ROW.findall(answer.text)) >= 3, "the rows are there"
        return seen

    asked(grown(3))  # what is remembered from the first time on
    few = asked(grown(3))
    many = asked(grown(30))
    assert len(many) <= len(few) + 2, "\n".join(many)
