"""A previewed plan that somebody approves: its id, and whether it is still what would be done (U12)."""

from __future__ import annotations

from hashlib import sha256

from itsdangerous import BadSignature, URLSafeSerializer

from portal.clock import utcnow
from portal.engine import preview as engine_preview
from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.models import Organization
from portal.runtime import runtime
from portal.user_sync.documents import SyncRequest


class PlanMoved(Refused):
    """An approved plan no longer matches what would be done (U12)."""


def previewed(organization: Organization, request: SyncRequest) -> engine_preview.PreviewResult:
    """Preview a run with these filters and this threshold."""
    return engine_preview.preview(db.session(), organization.id, request.filters, request.hold, utcnow())


def approved(organization: Organization, request: SyncRequest, plan_id: str) -> str:
    """The fingerprint of an approved plan, if it still holds (U12). Raises PlanMoved, and Invalid for none."""
    try:
        owner, fingerprint = _signer().loads(plan_id)
    except (BadSignature, TypeError, ValueError):
        raise Invalid({"plan_id": ["There is no such plan. Ask for a new preview."]}) from None
    if owner != organization.id:
        raise Invalid({"plan_id": ["This plan was made for another Organization."]})
    now = previewed(organization, request)
    if now.fingerprint != fingerprint:
        raise PlanMoved(
            "Microsoft or the filters have changed since this preview. Nothing was applied. Review the preview again."
        )
    return str(fingerprint)


def plan_id(organization: Organization, fingerprint: str) -> str:
    """A plan's id is its signed fingerprint: previews write nothing, and nobody can forge one (U12)."""
    return str(_signer().dumps([organization.id, fingerprint]))


def _signer() -> URLSafeSerializer:
    key = runtime().settings.secret_keys()[0]
    return URLSafeSerializer(key, salt="sync-plan", signer_kwargs={"digest_method": sha256})
