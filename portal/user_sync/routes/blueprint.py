"""What the pages of a User Sync share."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from portal.http import access
from portal.models import Organization
from portal.user_sync import service

bp = Blueprint("user_sync", __name__, url_prefix="/organizations/<organization_id>/user-sync")
Answer = str | Response | tuple[str, int] | tuple[str, int, dict[str, str]]
DIALOG = {"dialog": "dialog"}


def find_organization(organization_id: str) -> Organization:
    """The Organization of the address. Raises NotFound."""
    return access.load(Organization, organization_id, "Organization")


def is_enabled(organization: Organization) -> bool:
    """Whether its sync is switched on."""
    row = service.find(organization)
    return row is not None and row.enabled
