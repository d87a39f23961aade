"""Time the End Users page at 100,000 people: each sort, filter and search, as the server sees it.

    python tools/bench_pages.py [--people 100000] [--database-url URL]

Fills a throw-away SQLite database, asks for the page as a signed-in browser does, and prints the best time of each in
milliseconds, rendering included. Beside it the time for the swap that htmx asks for. It goes round several times rather
than asking one thing several times at once: a machine that is busy for a while would be blamed on that one.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from portal import create_app
from portal.auth import sessions as auth_sessions
from portal.clock import utcnow
from portal.config import Settings
from portal.end_users.listing import SPEC
from portal.engine.licenses import product_names
from portal.extensions import db, writing
from portal.models import (
    Account,
    DirectoryGroup,
    DirectoryUser,
    EndUser,
    MicrosoftTenant,
    Organization,
    Role,
    Tenant,
    new_id,
)
from portal.models.customers import no_link, search_columns
from portal.operations import schema
from portal.operations.server import keep_loaded_code

BATCH = 5000
BAR = 50  # ms
ROUNDS = 5
HTMX = {"HX-Request": "true"}
DEPARTMENTS, GROUPS = 2_000, 5_000
FIRST = [
    "Ann",
    "Bob",
    "Cid",
    "Dora",
    "Emil",
    "Fay",
    "Gus",
    "Hana",
    "Ida",
    "Jan",
    "Kim",
    "Lou",
    "Mia",
    "Ned",
    "Ola",
    "Pia",
    "Quin",
    "Rob",
    "Sue",
    "Tom",
    "Uma",
    "Vic",
    "Wes",
    "Xen",
    "Yan",
    "Zoe",
]
LAST = [
    "Smith",
    "Jones",
    "Brown",
    "Miller",
    "Davis",
    "Garcia",
    "Wilson",
    "Moore",
    "Taylor",
    "Lee",
    "White",
    "Harris",
    "Clark",
    "Lewis",
    "Young",
    "King",
    "Wright",
    "Hill",
]
TITLES = (
    "Engineer",
    "Sales Representative",
    "Manager",
    "Planner",
    "Designer",
    "Nurse",
    "Analyst",
    "Driver",
    "Clerk",
)
PRODUCTS = (
    ("05e9a617-0261-4cee-bb44-138d3ef5d965",),
    ("cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46", "f8a1db68-be16-40ed-86d5-cb42ce701560"),
    (),
    ("18181a46-0d4e-45cd-891e-60aabd171b4e",),
)
SEARCHES = ("a", "smith", "zoe lewis", "nobody here", "99999", "bench.example", "ann.smith.77")


def fill(people: int) -> str:
    """Add one Organization of that many End Users, four in five linked; gives its id. Deterministic."""
    chance = random.Random(1)
    now = utcnow()
    tenant = MicrosoftTenant(directory_id=new_id(), name="Bench", connected_at=now)
    db.session.add(tenant)
    db.session.flush()
    ours = Tenant(name="Bench", microsoft_tenant_id=tenant.id, created_at=now)
    db.session.add(ours)
    db.session.flush()
    organization = Organization(name="Bench", name_key="bench", tenant_id=ours.id, created_at=now)
    db.session.add(organization)
    db.session.flush()
    for start in range(0, people, BATCH):
        numbers = range(start, min(start + BATCH, people))
        rows = [_person(chance, number, organization.id, tenant.id, now) for number in numbers]
        db.session.execute(insert(EndUser), rows)
    return organization.id


def _person(
    chance: random.Random, number: int, organization_id: str, tenant_id: str, now: datetime
) -> dict[str, Any]:
    first, last = chance.choice(FIRST), chance.choice(LAST)
    values = {
        "display_name": f"{first} {last} {number}",
        "first_name": first,
        "last_name": last,
        "email": f"{first}.{last}.{number}@bench.example".lower(),
        "phone": f"+1 555 {chance.randrange(10**7):07}",
        "job_title": chance.choice(TITLES),
        "department": f"Department {chance.randrange(300)}",
        "office_location": f"Office {chance.randrange(40)}",
    }
    row = {
        "id": new_id(),
        "organization_id": organization_id,
        **values,
        **search_columns(values),
        "source": chance.choice(("sync", "sync", "sync", "manual")),
        "created_at": now - timedelta(seconds=number),
        "updated_at": now,
        **no_link(),
    }
    if chance.random() < 0.8:
        row |= link(chance, tenant_id, values["email"], now)
    return row


def link(chance: random.Random, microsoft_tenant_id: str, email: str, now: datetime) -> dict[str, Any]:
    """The columns of somebody who is linked, as often disabled, licensed and active as people are."""
    products = chance.choice(PRODUCTS)
    return {
        "microsoft_tenant_id": microsoft_tenant_id,
        "object_id": new_id(),
        "user_principal_name": email,
        "microsoft_status": "disabled" if chance.random() < 0.1 else "active",
        "in_scope": chance.random() < 0.9,
        "license_sku_ids": products,
        "is_licensed": bool(products),
        "license_names": ", ".join(product_names(products)),
        "last_sign_in_at": now - timedelta(minutes=chance.randrange(200_000))
        if chance.random() < 0.9
        else None,
        "mfa_registered": chance.choice((True, False, None)),
        "linked_at": now,
    }


def fill_mirror(people: int) -> str:
    """Add a customer whose mirror has many departments and groups and no sync yet; gives the Organization's id."""
    now = utcnow()
    tenant = MicrosoftTenant(
        directory_id=new_id(),
        name="Bench Mirror",
        connected_at=now,
        domains=[{"name": "mirror.example", "is_default": True, "is_initial": True}],
        last_synced_at=now,
        is_complete=True,
    )
    db.session.add(tenant)
    db.session.flush()
    ours = Tenant(name="Bench Mirror", microsoft_tenant_id=tenant.id, created_at=now)
    db.session.add(ours)
    db.session.flush()
    organization = Organization(
        name="Bench Mirror", name_key="bench mirror", tenant_id=ours.id, created_at=now
    )
    db.session.add(organization)
    db.session.execute(
        insert(DirectoryUser), [_directory_user(number, tenant.id) for number in range(people)]
    )
    groups = [
        {
            "microsoft_tenant_id": tenant.id,
            "object_id": str(number),
            "display_name": f"Group {number}",
            "kind": "Security",
        }
        for number in range(GROUPS)
    ]
    db.session.execute(insert(DirectoryGroup), groups)
    return organization.id


def _directory_user(number: int, tenant_id: str) -> dict[str, Any]:
    email = f"person.{number}@mirror.example"
    columns = {
        "display_name": f"Person {number}",
        "user_type": "Member" if number % 10 else "Guest",
        "department": f"Department {number % DEPARTMENTS}",
        "office_location": f"Office {number % 40}",
    }
    raw = {
        "id": str(number),
        "displayName": columns["display_name"],
        "mail": email,
        "userPrincipalName": email,
        "userType": columns["user_type"],
        "department": columns["department"],
        "officeLocation": columns["office_location"],
        "accountEnabled": True,
    }
    keys = {"object_id": str(number), "email": email, "email_key": email, "user_principal_name": email}
    state = {"raw": json.dumps(raw), "row_hash": "", "content_hash": "", "account_enabled": True}
    folded = {
        "domain": "mirror.example",
        "department_key": columns["department"].lower(),
        "office_key": columns["office_location"].lower(),
    }
    return {"microsoft_tenant_id": tenant_id, **columns, **keys, **folded, **state}


def queries() -> Iterator[str]:
    """The query strings to time: every sort both ways, every filter, searches, and some of it together."""
    yield ""
    for sort in SPEC.sorts:
        yield f"sort={sort}"
        yield f"sort=-{sort}"
    for name, values in SPEC.filters.items():
        for value in values or ():
            yield f"{name}={value}"
    for text in SEARCHES:
        yield f"q={text.replace(' ', '+')}"
    yield "page=1000"
    yield "page=2000"
    yield "sort=-last_sign_in_at&page=1500"
    yield "q=smith&sort=-last_sign_in_at"
    yield "q=smith&microsoft_status=disabled&sort=license"
    yield "microsoft_status=active&licensed=true&mfa=false&sort=-email"


def sign_in(app: Any) -> Any:
    """A browser of an administrator."""
    now = utcnow()
    account = Account(email=f"{new_id()}@rollcall.example", role=Role.ADMINISTRATOR.value, created_at=now)
    db.session.add(account)
    db.session.flush()
    token = auth_sessions.start_session(
        db.session(), account, now=now, ip="", user_agent="", method="password"
    )
    db.session.commit()
    browser = app.test_client()
    with browser.session_transaction() as kept:
        kept["_user_id"], kept["_fresh"] = token, True
    return browser


def timed(browser: Any, url: str, headers: dict[str, str]) -> float:
    """Milliseconds of one request. Raises RuntimeError when the answer is not the page."""
    began = time.perf_counter()
    answer = browser.get(url, headers=headers)
    took = (time.perf_counter() - began) * 1000
    if answer.status_code != 200:
        raise RuntimeError(f"{url}: {answer.status}")
    return took


def best(browser: Any, asked: list[tuple[str, dict[str, str]]]) -> list[float]:
    """The best time of each URL with its headers, in milliseconds, in their order."""
    rounds = [[timed(browser, url, headers) for url, headers in asked] for _ in range(ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


def measure(people: int, database_url: str) -> None:
    """Fill and time; prints as it goes."""
    with tempfile.TemporaryDirectory(prefix="rollcall-bench-") as folder:
        app = create_app(Settings(data_dir=Path(folder), database_url=database_url, scheduler="off"))
        with app.app_context():
            schema.upgrade(db.engine)
            writing.set(True)
            page = f"/organizations/{fill(people)}/end-users"
            popup = f"/organizations/{fill_mirror(people // 5)}/user-sync"
            db.session.commit()
            browser = sign_in(app)
            writing.set(False)
        keep_loaded_code()
        names = list(queries())
        whole = best(browser, [(f"{page}?{query}", {}) for query in names])
        swap = best(browser, [(f"{page}?{query}", {**HTMX, "HX-Target": "users_table"}) for query in names])
        print(f"{'page':>8} {'swap':>8}  ms, {people:,} End Users")
        for query, one, other in zip(names, whole, swap, strict=True):
            print(f"{one:8.1f} {other:8.1f}  {query or 'as opened'}")
        print(f"slowest swap {max(swap):.0f} ms, the bar is {BAR} ms")
        opened, found = best(
            browser, [(popup, {**HTMX, "HX-Target": "dialog"}), (f"{popup}/values/group?q=4", HTMX)]
        )
        print(
            f"pop-up {opened:.0f} ms: {DEPARTMENTS:,} departments, {GROUPS:,} groups, {people // 5:,} people"
        )
        print(f"search among its groups {found:.0f} ms")
        with app.app_context():
            db.engine.dispose()


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Time the pages that have much to show.")
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--database-url", default="")
    given = parser.parse_args()
    try:
        measure(given.people, given.database_url)
    except RuntimeError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
