"""How a roll-out begins: from a partner's customers, from Microsoft tenants, Organizations, or a changed template (C3, F2, F3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portal import audit
from portal.clock import utcnow
from portal.errors import Invalid
from portal.extensions import db
from portal.filter_templates import documents
from portal.filter_templates import service as templates
from portal.microsoft.discover import Customer
from portal.models import FilterTemplate, MicrosoftTenant, Organization, Rollout, RolloutRow

MOST = 1_000


def begin_customers(partner: MicrosoftTenant, customers: Sequence[Customer]) -> Rollout:
    """Connect a partner's customers, and go on with those that are connected already. Raises Invalid for none."""
    if not customers:
        raise Invalid({"id": ["Choose at least one customer."]})
    row = _new("customers", len(customers), partner_id=partner.id, cloud=partner.cloud)
    for customer in customers[:MOST]:
        db.session.add(
            RolloutRow(
                rollout_id=row.id,
                status="waiting" if customer.microsoft_tenant_id is None else "connected",
                name=customer.name,
                directory_id=customer.directory_id,
                ends_at=customer.ends_at,
                microsoft_tenant_id=customer.microsoft_tenant_id,
            )
        )
    db.session.flush()
    return row


def begin_tenants(tenants: Sequence[MicrosoftTenant]) -> Rollout:
    """Go on with Microsoft tenants that are connected and not mapped: create or match their Organizations. Raises Invalid for none."""
    if not tenants:
        raise Invalid({"id": ["Choose at least one Microsoft tenant."]})
    row = _new("customers", len(tenants))
    for tenant in tenants[:MOST]:
        db.session.add(
            RolloutRow(
                rollout_id=row.id,
                status="connected",
                name=tenant.name,
                directory_id=tenant.directory_id,
                microsoft_tenant_id=tenant.id,
            )
        )
    db.session.flush()
    return row


def begin_organizations(organizations: Sequence[Organization]) -> Rollout:
    """Set up Organizations that exist. Raises Invalid for none."""
    if not organizations:
        raise Invalid({"id": ["Choose at least one Organization."]})
    row = _new("organizations", len(organizations))
    for organization in organizations[:MOST]:
        db.session.add(_row_of(row, organization, "mapped"))
    db.session.flush()
    return row


def begin_template_change(template: FilterTemplate, name: str, body: Mapping[str, Any]) -> Rollout:
    """Preview a changed template for all that follow it; nothing is saved before ``confirm``. Raises Invalid as saving it would."""
    clean_name = templates.checked_name(name, but=template.id)
    parsed = documents.parse(body)
    organizations = templates.followers(template.id)
    row = _new(
        "template",
        len(organizations),
        template_id=template.id,
        request={
            **parsed,
            "name": clean_name,
            "before": {**documents.body_of(template), "name": template.name},
        },
    )
    for organization in organizations:
        db.session.add(_row_of(row, organization, "previewing"))
    db.session.flush()
    return row


def _new(kind: str, count: int, **values: Any) -> Rollout:
    actor = audit.current_actor()
    row = Rollout(
        kind=kind,
        created_at=utcnow(),
        created_by=actor.name[:320],
        source=actor.source,
        ip=actor.ip[:64],
        **values,
    )
    db.session.add(row)
    db.session.flush()
    audit.record(db.session(), "rollout_started", row, kind=kind, count=count)
    return row


def _row_of(rollout: Rollout, organization: Organization, status: str) -> RolloutRow:
    return RolloutRow(
        rollout_id=rollout.id,
        status=status,
        name=organization.name,
        organization_id=organization.id,
        organization_name=organization.name,
    )
