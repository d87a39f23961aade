"""Deletes an Organization: a large one in short transactions, so that nobody waits for it."""

from __future__ import annotations

from portal import audit
from portal.engine import bulk
from portal.engine.pace import FIRST_ROWS
from portal.extensions import db
from portal.http.access import load
from portal.http.parts import one_by_one
from portal.locks import lock
from portal.models import Organization
from portal.organizations import service
from portal.transactions import begin_write


def remove(row: Organization) -> None:
    """Delete an Organization as ``service.remove`` says, and commit. Repeated after an interruption it does the rest.

    What belongs to a large one goes first; each part looks anew whether its User Sync was enabled meanwhile.
    """
    service.refuse_while_syncing(row, "deleted")
    session, organization_id = db.session(), row.id
    belongings = service.belongings(organization_id)

    def delete(part: list[int]) -> None:
        organization = lock(session, Organization, organization_id)
        service.refuse_while_syncing(organization, "deleted")
        number = bulk.delete_some(session, belongings, len(part))
        audit.record(
            session,
            "organization_deleted_in_part",
            object_type="organization",
            object_id=organization_id,
            name=organization.name,
            count=number,
        )

    number = bulk.number_of(session, belongings)
    if number > FIRST_ROWS:
        one_by_one(session, range(number), delete, "deleted")
    begin_write(session)
    service.remove(load(Organization, organization_id, "Organization"))
    session.commit()
