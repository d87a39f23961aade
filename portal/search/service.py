"""The search in the top bar: Organizations and people, by parts of names, addresses and phone numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select

from portal.extensions import db
from portal.http.listing import contains_text
from portal.models import EndUser, MicrosoftTenant, Organization
from portal.models.microsoft import IS_CONNECTED
from portal.text import search_forms, text_key

MOST = 25


@dataclass(frozen=True)
class Found:
    """What was found, at most 25 of each kind; people come with their Organization."""

    organizations: list[Organization]
    people: list[Any]
    microsoft_tenants: list[MicrosoftTenant]

    @property
    def is_empty(self) -> bool:
        """True when nothing fits."""
        return not (self.organizations or self.people or self.microsoft_tenants)


def find(text: str) -> Found:
    """Everything that has each word of ``text``."""
    words = text_key(text).split()
    if not words:
        return Found([], [], [])
    organizations = select(Organization).order_by(Organization.name_key).limit(MOST)
    people = (
        select(EndUser, Organization)
        .join(Organization, Organization.id == EndUser.organization_id)
        .order_by(EndUser.sort_name)
        .limit(MOST)
    )
    tenants = select(MicrosoftTenant).where(IS_CONNECTED).order_by(MicrosoftTenant.name).limit(MOST)
    for word in words:
        organizations = organizations.where(Organization.name_key.contains(word, autoescape=True))
        people = people.where(
            or_(*(EndUser.search_text.contains(form, autoescape=True) for form in search_forms(word)))
        )
        tenants = tenants.where(contains_text(word, MicrosoftTenant.name))
    return Found(
        list(db.session.scalars(organizations)),
        list(db.session.execute(people)),
        list(db.session.scalars(tenants)),
    )
