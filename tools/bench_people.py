"""Time the lists of a fleet at 300 Organizations and 1,000,000 people: All people by search and filters, and the others.

    python tools/bench_people.py [--people 1000000] [--file FILE] [--database-url URL]

Fills a throw-away database in bulk (``--file`` keeps it, and uses it again), indexes its words, asks for each page several times
as a signed-in browser does, and prints the best and the 95th percentile in milliseconds, rendering included. The processor's time
stands beside the clock's: on a machine that does other things too it is the one to compare.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench_pages import FIRST, LAST, PRODUCTS, TITLES, link, sign_in

from portal import create_app
from portal.clock import utcnow
from portal.config import Settings
from portal.engine.bulk import insert_rows
from portal.engine.licenses import product_names
from portal.extensions import db, mark_write, writing
from portal.models import EndUser, MicrosoftTenant, Organization, SubscribedSku, Tenant, new_id
from portal.models.customers import no_link, search_columns
from portal.operations import schema
from portal.operations.server import keep_loaded_code
from portal.organizations import tags
from portal.runtime import runtime
from portal.search import index

ORGANIZATIONS = 300
GOLD = 10  # one in so many is tagged
BAR = 50  # ms
ROUNDS = 5
SKU = PRODUCTS[1][0]
BLANKS = dict.fromkeys(
    ("mobile_phone", "street_address", "city", "state", "postal_code", "country", "notes"), ""
)
FIRST_ENDS, LAST_ENDS = ("", "ra", "lo", "mi", "na"), ("", "son", "ton", "er", "man", "berg")
PAGES = (
    "/people",
    "/people?page=100",
    "/people?mfa=false",
    "/people?mfa=false&tag=gold",
    "/people?inactive_days=30",
    "/people?inactive_days=90",
    "/people?microsoft_status=disabled",
    "/people?microsoft_status=disabled&mfa=false&tag=gold",
    "/people?microsoft_status=disabled&mfa=false",
    "/people?microsoft_status=none&sort=-name",
    "/people?source=import",
    f"/people?sku_id={SKU}",
    "/people?department=Department+17",
    "/people?organization_id={organization}",
    "/people?organization_id={organization}&sort=-last_sign_in_at",
    "/people?q=smith",
    "/people?q=smith&mfa=false",
    "/people?q=smithson",
    "/people?q=jan+smithberg",
    "/people?q=555+123",
    "/people?q=nobody+here",
    "/people?q={object_id}",
    "/organizations",
    "/organizations?sort=-end_users",
    "/organizations?tag=gold",
    "/microsoft-tenants",
    "/sync-runs",
    "/search?q=smithson",
    "/search?q=customer+17",
)


def fill(people: int) -> None:
    """Customers, each with its Microsoft tenant and its share of the people, four in five linked. Deterministic."""
    chance, now = random.Random(1), utcnow()
    homes = []
    for number in range(ORGANIZATIONS):
        microsoft = MicrosoftTenant(
            directory_id=new_id(), name=f"Customer {number}", connected_at=now, last_synced_at=now
        )
        db.session.add(microsoft)
        db.session.flush()
        db.session.add_all(
            SubscribedSku(microsoft_tenant_id=microsoft.id, sku_id=sku, name=", ".join(product_names((sku,))))
            for sku in {s for p in PRODUCTS for s in p}
        )
        ours = Tenant(name=microsoft.name, microsoft_tenant_id=microsoft.id, created_at=now)
        db.session.add(ours)
        db.session.flush()
        row = Organization(
            name=microsoft.name, name_key=microsoft.name.lower(), tenant_id=ours.id, created_at=now
        )
        db.session.add(row)
        db.session.flush()
        tags.replace(row, ["gold"] if number % GOLD == 0 else ["silver"])
        homes.append((row.id, microsoft.id))
    db.session.commit()
    for place, (organization_id, microsoft_id) in enumerate(homes):
        share = people // ORGANIZATIONS
        rows = [person(chance, place * share + n, organization_id, microsoft_id) for n in range(share)]
        mark_write(db.session())
        insert_rows(db.session(), EndUser, rows)
        db.session.commit()


def person(chance: random.Random, number: int, organization_id: str, microsoft_id: str) -> dict[str, Any]:
    """One End User's row."""
    now = utcnow()
    first, last = (
        chance.choice(FIRST) + chance.choice(FIRST_ENDS),
        chance.choice(LAST) + chance.choice(LAST_ENDS),
    )
    values = {
        "display_name": f"{first} {last}",
        "first_name": first,
        "last_name": last,
        "email": f"{first}.{last}.{number}@c{microsoft_id[-6:]}.example".lower(),
        "phone": f"+1 555 {chance.randrange(10**7):07}",
        "job_title": chance.choice(TITLES),
        "department": f"Department {chance.randrange(300)}",
        "office_location": f"Office {chance.randrange(40)}",
    }
    times = {"created_at": now, "updated_at": now, "edited_at": None, "created_by_run_id": None}
    row = {
        "id": new_id(),
        "organization_id": organization_id,
        **BLANKS,
        **values,
        **search_columns(values),
        **times,
        **no_link(),
    }
    row["source"] = chance.choice(("sync", "sync", "sync", "manual"))
    if chance.random() < 0.8:
        row |= link(chance, microsoft_id, values["email"], now)
    return row


def timed(browser: Any, url: str) -> tuple[float, float]:
    """Milliseconds of one request, by the clock and by the processor. Raises RuntimeError when the answer is not the page."""
    clock, work = time.perf_counter(), time.process_time()
    answer = browser.get(url)
    took = (time.perf_counter() - clock) * 1000, (time.process_time() - work) * 1000
    if answer.status_code != 200:
        raise RuntimeError(f"{url}: {answer.status}")
    return took


def report(browser: Any, pages: list[str]) -> None:
    """Ask for every page in turn, several times round, and print what it took."""
    for url in pages:
        timed(browser, url)  # templates are compiled, caches are warm
    rounds = [[timed(browser, url) for url in pages] for _ in range(ROUNDS)]
    print(f"{'clock':>8} {'work':>8}  ms, best of {ROUNDS}")
    for place, url in enumerate(pages):
        clock, work = (min(one[place][kind] for one in rounds) for kind in (0, 1))
        print(f"{clock:8.1f} {work:8.1f}  {url}")
    for kind, word in enumerate(("clock", "work")):
        every = sorted(one[place][kind] for one in rounds for place in range(len(pages)))
        p95 = statistics.quantiles(every, n=20)[-1]
        print(f"p95 {p95:.0f} ms of the {word}, the bar is {BAR} ms")


def measure(people: int, database_url: str, folder: Path) -> None:
    """Fill unless that is done, index, and time."""
    app = create_app(Settings(data_dir=folder, database_url=database_url, scheduler="off"))
    with app.app_context():
        schema.upgrade(db.engine)
        if db.session.scalar(db.select(Organization.id).limit(1)) is None:
            db.session.rollback()
            writing.set(True)
            fill(people)
        db.session.rollback()
        writing.set(False)
        began = time.process_time()
        while index.index_some(runtime().sessions, 100):
            pass
        print(f"indexed in {time.process_time() - began:.0f} s of the processor")
        organization = db.session.scalars(
            db.select(Organization.id).order_by(Organization.sort_key).offset(7).limit(1)
        ).one()
        somebody = db.session.scalars(
            db.select(EndUser.object_id).where(EndUser.object_id.is_not(None)).limit(1)
        ).one()
        db.session.rollback()
        writing.set(True)
        browser = sign_in(app)
        writing.set(False)
    with app.app_context():
        looked_through()
    keep_loaded_code()
    report(browser, [url.format(organization=organization, object_id=somebody) for url in PAGES])
    with app.app_context():
        db.engine.dispose()


def looked_through() -> None:
    """What PostgreSQL's autovacuum does soon after a table was filled."""
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Time the lists of a fleet.")
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--file", default="", help="a SQLite file to fill, or to use again")
    parser.add_argument("--database-url", default="")
    given = parser.parse_args()
    url = f"sqlite:///{Path(given.file).absolute()}" if given.file else given.database_url
    try:
        with tempfile.TemporaryDirectory(prefix="rollcall-bench-") as folder:
            measure(given.people, url, Path(folder))
    except RuntimeError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
