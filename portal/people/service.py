"""All people: what the filters offer, the rows as pages show them, documents for the API, and the CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import func, select

from portal.end_users import documents as end_user_documents
from portal.engine.batches import batches
from portal.errors import Invalid
from portal.extensions import db
from portal.http import csv_cells
from portal.http.listing import Listing
from portal.models import EndUser, Organization, SubscribedSku
from portal.organizations import tags
from portal.people import listing
from portal.people.views import Offered, Person

MOST_EXPORTED = 200_000
CSV_COLUMNS = (
    "id",
    "organization",
    "tags",
    "display_name",
    "email",
    "user_principal_name",
    "phone",
    "mobile_phone",
    "job_title",
    "department",
    "source",
    "microsoft_status",
    "licenses",
    "last_sign_in_at",
    "mfa",
    "object_id",
    "organization_id",
)


def offered() -> Offered:
    """Organizations, tags and products to choose from."""
    session = db.session()
    organizations = session.execute(
        select(Organization.id, Organization.name).order_by(Organization.sort_key)
    )
    products = session.execute(
        select(SubscribedSku.sku_id, func.max(SubscribedSku.name))
        .where(SubscribedSku.applies_to == "User")
        .group_by(SubscribedSku.sku_id)
    )
    return Offered(
        organizations=[(row_id, name) for row_id, name in organizations],
        tags=tags.all_tags(),
        products=sorted(((sku, name or sku) for sku, name in products), key=lambda pair: pair[1].lower()),
    )


def page(query: Listing, *, assets: bool = False) -> Listing:
    """One page of everybody that fits. Raises Invalid for filters that cannot be used."""
    return listing.listing(db.session(), query, assets=assets)


def people(rows: Sequence[EndUser]) -> list[Person]:
    """The rows with their Organizations and products, in three queries."""
    organizations = listing.organization_names(db.session(), rows)
    products = end_user_documents.license_names(rows)
    return [Person(row, products.get(row.id, ()), organizations[row.organization_id]) for row in rows]


def export(query: Listing, ids: Sequence[str] | None = None) -> Iterator[str]:
    """CSV of everybody who fits, or only ``ids`` of them, in the order of the list. Raises Invalid when they are too many."""
    fitting = listing.ids(db.session(), query, MOST_EXPORTED + 1)
    if ids is not None:
        checked = set(ids)
        fitting = [row_id for row_id in fitting if row_id in checked]
    if len(fitting) > MOST_EXPORTED:
        raise Invalid(
            {"q": [f"More than {MOST_EXPORTED:,} people match. Filter the list and export it in parts."]}
        )
    return csv_cells.write(CSV_COLUMNS, _lines(fitting))


def _lines(ids: Sequence[str]) -> Iterable[tuple[object, ...]]:
    session = db.session()
    for part in batches(ids):
        rows = {row.id: row for row in session.scalars(select(EndUser).where(EndUser.id.in_(part)))}
        for person in people([rows[row] for row in part if row in rows]):
            yield _cells(person)
        session.expunge_all()


def _cells(person: Person) -> tuple[object, ...]:
    row: Any = person.user
    mfa = {None: "", True: "true", False: "false"}[row.mfa_registered]
    return (
        row.id,
        person.organization.name,
        person.tags,
        *(getattr(row, name) for name in CSV_COLUMNS[3:12]),
        ", ".join(person.products),
        csv_cells.moment(row.last_sign_in_at),
        mfa,
        row.object_id or "",
        row.organization_id,
    )
