"""Coverage: which Organizations take the users of a Microsoft tenant (P13)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from portal.extensions import db
from portal.http.listing import Listing, ListSpec, contains_text, fetch
from portal.models import DirectoryUser, EndUser, MicrosoftTenant, Organization

TAKEN = ("none", "one", "several")

COVERAGE = ListSpec(
    sorts={
        "display_name": (DirectoryUser.display_name,),
        "email": (DirectoryUser.email_key,),
        "user_principal_name": (DirectoryUser.user_principal_name,),
    },
    default_sort="display_name",
    filters={"taken": TAKEN, "not_in": None},  # not_in: an Organization that does not take them
)


def page(microsoft_tenant: MicrosoftTenant, query: Listing) -> Listing:
    """One page of a tenant's present users, each with the number of Organizations that take them (P13)."""
    takers = _takers(microsoft_tenant)
    statement: Select[Any] = select(DirectoryUser).where(
        DirectoryUser.microsoft_tenant_id == microsoft_tenant.id, DirectoryUser.presence == "present"
    )
    if "taken" in query.filters:
        statement = statement.where(_is_taken(takers, query.filters["taken"]))
    if "not_in" in query.filters:
        its = select(EndUser.object_id).where(
            EndUser.organization_id == query.filters["not_in"],
            EndUser.microsoft_tenant_id == microsoft_tenant.id,
            EndUser.in_scope.is_(True),
        )
        statement = statement.where(DirectoryUser.object_id.not_in(its))
    if query.q:
        names = DirectoryUser.display_name, DirectoryUser.email_key, DirectoryUser.user_principal_name
        statement = statement.where(contains_text(query.q, *names))
    return fetch(db.session(), statement, query, COVERAGE, tiebreaker=DirectoryUser.object_id)


def counts(microsoft_tenant: MicrosoftTenant) -> dict[str, int]:
    """How many present users are taken by none, one and several Organizations."""
    takers = _takers(microsoft_tenant)
    count = select(func.count()).select_from(DirectoryUser)
    present = count.where(
        DirectoryUser.microsoft_tenant_id == microsoft_tenant.id, DirectoryUser.presence == "present"
    )
    return {word: db.session.scalar(present.where(_is_taken(takers, word))) or 0 for word in TAKEN}


def documents(microsoft_tenant: MicrosoftTenant, rows: list[DirectoryUser]) -> list[dict[str, Any]]:
    """Users with the Organizations that take them, by name."""
    ids = [row.object_id for row in rows]
    takers: dict[str, list[dict[str, str]]] = {}
    statement = (
        select(EndUser.object_id, Organization.id, Organization.name, EndUser.id)
        .join(Organization, Organization.id == EndUser.organization_id)
        .where(
            EndUser.microsoft_tenant_id == microsoft_tenant.id,
            EndUser.object_id.in_(ids),
            EndUser.in_scope.is_(True),  # people outside the filters no longer count as taken (L3)
        )
        .order_by(Organization.name)
    )
    for object_id, organization_id, name, end_user_id in db.session.execute(statement):
        takers.setdefault(str(object_id), []).append(
            {"id": organization_id, "name": name, "end_user_id": end_user_id}
        )
    entries = []
    for row in rows:
        organizations = takers.get(row.object_id, [])
        entries.append(
            {
                "object_id": row.object_id,
                "user_principal_name": row.user_principal_name,
                "display_name": row.display_name,
                "email": row.email,
                "user_type": row.user_type,
                "account_enabled": row.account_enabled,
                "taken": TAKEN[min(len(organizations), 2)],
                "organizations": organizations,
            }
        )
    return entries


def _takers(microsoft_tenant: MicrosoftTenant) -> Select[Any]:
    return (
        select(EndUser.object_id)
        .where(EndUser.microsoft_tenant_id == microsoft_tenant.id, EndUser.in_scope.is_(True))
        .group_by(EndUser.object_id)
    )


def _is_taken(takers: Select[Any], word: str) -> ColumnElement[bool]:
    if word == "none":
        return ~DirectoryUser.object_id.in_(takers)
    number = func.count()
    return DirectoryUser.object_id.in_(takers.having(number == 1 if word == "one" else number > 1))
