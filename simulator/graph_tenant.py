"""The tenant: organization, domains, products, a partner's customers (docs/microsoft-graph.md, 1.4, 1.9, 7.2 and 9)."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from typing import Any

from simulator import skus
from simulator.calls import Call, not_found, route
from simulator.cursors import Cursor
from simulator.messages import GraphError, Response, iso, json_response
from simulator.objects import Props
from simulator.odata import Schema, filter_of, page_size
from simulator.paging import page_of, resume
from simulator.tenant import Tenant

DIRECTORY = "Directory.Read.All"
_SERVICES = "Email, OfficeCommunicationsOnline"

ORGANIZATIONS = Schema.of(
    "organization",
    "id assignedPlans businessPhones city country countryLetterCode createdDateTime "
    "defaultUsageLocation displayName isMultipleDataLocationsForServicesEnabled "
    "marketingNotificationEmails mobileDeviceManagementAuthority onPremisesLastSyncDateTime "
    "onPremisesSyncEnabled partnerTenantType postalCode preferredLanguage privacyProfile "
    "provisionedPlans securityComplianceNotificationMails state street technicalNotificationMails "
    "tenantType verifiedDomains",
)
DOMAINS = Schema.of(
    "domain",
    "id authenticationType availabilityStatus isAdminManaged isDefault isInitial isRoot isVerified "
    "manufacturer model passwordNotificationWindowInDays passwordValidityPeriodInDays state "
    "supportedServices",
)
SKUS = Schema.of(
    "subscribedSku",
    "id accountId accountName appliesTo capabilityStatus consumedUnits prepaidUnits servicePlans "
    "skuId skuPartNumber subscriptionIds",
)
CONTRACTS = Schema.of(
    "contract",
    "id contractType customerId defaultDomainName displayName",
)


def _listed(call: Call, rows: list[Props], schema: Schema, context: str) -> Response:
    """A short list in one page; ``$select`` is honored."""
    names = call.selected
    schema.check(names)
    if names:
        rows = [{"id": row["id"], **{name: row.get(name) for name in names}} for row in rows]
    return json_response({"@odata.context": f"{call.base}/v1.0/$metadata#{context}", "value": rows})


@route("GET", "/organization", roles=("Organization.Read.All", DIRECTORY))
def list_organizations(call: Call, _match: re.Match[str]) -> Response:
    """The tenant; always one element, whose id is the tenant id."""
    return _listed(call, [_organization(call.tenant)], ORGANIZATIONS, "organization")


@route("GET", "/organization/{id}", roles=("Organization.Read.All", DIRECTORY))
def get_organization(call: Call, match: re.Match[str]) -> Response:
    """The tenant by its id."""
    if match["id"].lower() != call.tenant.id:
        raise not_found(match["id"])
    return json_response(_organization(call.tenant))


def _organization(tenant: Tenant) -> Props:
    office = tenant.company.offices[0]
    domains = [
        {
            "capabilities": _SERVICES,
            "isDefault": name == tenant.default_domain,
            "isInitial": name == tenant.initial_domain,
            "name": name,
            "type": "Managed",
        }
        for name in tenant.domains
    ]
    return {
        "id": tenant.id,
        "displayName": tenant.name,
        "tenantType": tenant.tenant_type,
        "partnerTenantType": "valueAddedResellerPartnerDelegatedAdmin" if tenant.is_partner else None,
        "onPremisesSyncEnabled": True,
        "mobileDeviceManagementAuthority": "intune" if tenant.has_intune else "unknown",
        "createdDateTime": iso(tenant.now - timedelta(days=2500)),
        "city": office.city,
        "country": office.country,
        "countryLetterCode": office.usage_location,
        "postalCode": office.postal_code,
        "technicalNotificationMails": [f"admin@{tenant.default_domain}"],
        "assignedPlans": [],
        "businessPhones": [],
        "verifiedDomains": domains,
    }


@route("GET", "/domains", roles=("Domain.Read.All", DIRECTORY))
def list_domains(call: Call, _match: re.Match[str]) -> Response:
    """Every domain, the unverified one included."""
    tenant = call.tenant
    rows = [
        {
            "id": name,
            "isVerified": name in tenant.domains,
            "isDefault": name == tenant.default_domain,
            "isInitial": name == tenant.initial_domain,
            "isAdminManaged": True,
            "isRoot": True,
            "authenticationType": "Managed",
            "supportedServices": ["Email", "OfficeCommunicationsOnline"] if name in tenant.domains else [],
        }
        for name in (*tenant.domains, tenant.company.unverified)
    ]
    return _listed(call, rows, DOMAINS, "domains")


@route(
    "GET", "/subscribedSkus", roles=("Organization.Read.All", DIRECTORY, "LicenseAssignment.Read.All"), cost=3
)
def list_skus(call: Call, _match: re.Match[str]) -> Response:
    """The subscriptions with their counts; only ``$select`` is supported."""
    for name in call.request.query:
        if name != "$select":
            raise GraphError(400, "Request_BadRequest", f"The query option '{name}' is not supported.")
    tenant = call.tenant
    held = Counter(
        assigned["skuId"]
        for user in tenant.directory.users.values()
        for assigned in user.props.get("assignedLicenses") or ()
        if isinstance(assigned, dict) and "skuId" in assigned
    )
    rows = [_sku_row(tenant, sku, held[sku.sku_id]) for sku in tenant.skus if sku.is_subscribed]
    return _listed(call, rows, SKUS, "subscribedSkus")


def _sku_row(tenant: Tenant, sku: skus.Sku, consumed: int) -> Props:
    bought = consumed + 5
    is_enabled = sku.status == "Enabled"
    return {
        "id": f"{tenant.id}_{sku.sku_id}",
        "accountId": tenant.id,
        "accountName": tenant.company.handle,
        "appliesTo": sku.applies_to,
        "capabilityStatus": sku.status,
        "consumedUnits": consumed,
        "prepaidUnits": {
            "enabled": bought if is_enabled else 0,
            "suspended": bought if sku.status == "Suspended" else 0,
            "warning": bought if sku.status == "Warning" else 0,
            "lockedOut": 0,
        },
        "skuId": sku.sku_id,
        "skuPartNumber": sku.part_number,
        "subscriptionIds": [],
        "servicePlans": [
            {
                "servicePlanId": plan,
                "servicePlanName": skus.PLAN_NAMES[plan],
                "provisioningStatus": "Success",
                "appliesTo": sku.applies_to,
            }
            for plan in sku.plans
        ],
    }


def _customers(call: Call) -> list[Tenant]:
    """The partner's customers: every tenant but its own."""
    if not call.tenant.is_partner:
        return []
    return [tenant for tenant in call.world.tenants.values() if not tenant.is_partner]


def _pages(call: Call, rows: list[Props], context: str, size: int) -> Response:
    def same(row: Props) -> Props:
        return row

    query = call.request.raw_query
    stem = f"/v1.0{call.path}?{query}&" if query else f"/v1.0{call.path}?"
    return page_of(call, Cursor(call.tenant.id, call.path.lower(), rows, same, context, size, stem))


@route("GET", "/contracts", roles=(DIRECTORY,), cost=3)
def list_contracts(call: Call, _match: re.Match[str]) -> Response:
    """A partner's contracts; empty in other tenants."""
    if cursor := resume(call):
        return page_of(call, cursor)
    size = page_size(call, CONTRACTS)
    rows: list[Props] = [
        {
            "id": f"5a0d{tenant.id[4:]}",
            "contractType": "ResellerPartner",
            "customerId": tenant.id,
            "defaultDomainName": tenant.initial_domain,
            "displayName": tenant.name,
        }
        for tenant in _customers(call)
    ]
    test = filter_of(call, CONTRACTS)
    return _pages(call, [row for row in rows if test is None or test(row)], "contracts", size)


def _relationship_page(call: Call) -> int:
    text = call.request.query.get("$top", "100")
    if not text.isdigit() or not 1 <= int(text) <= 300:
        raise GraphError(400, "badRequest", "The page size must be between 1 and 300.")
    return int(text)


@route("GET", "/tenantRelationships/delegatedAdminCustomers", roles=("DelegatedAdminRelationship.Read.All",))
def list_delegated_customers(call: Call, _match: re.Match[str]) -> Response:
    """Customers with a delegated-administration relationship."""
    if cursor := resume(call):
        return page_of(call, cursor)
    rows: list[Props] = [
        {"@odata.etag": 'W/"1"', "id": tenant.id, "tenantId": tenant.id, "displayName": tenant.name}
        for tenant in _customers(call)
    ]
    context = "tenantRelationships/delegatedAdminCustomers"
    return _pages(call, rows, context, _relationship_page(call))


@route(
    "GET", "/tenantRelationships/delegatedAdminRelationships", roles=("DelegatedAdminRelationship.Read.All",)
)
def list_delegated_relationships(call: Call, _match: re.Match[str]) -> Response:
    """The relationships with their ends; the last customer's is about to run out, the one before has."""
    if cursor := resume(call):
        return page_of(call, cursor)
    customers = _customers(call)
    rows: list[Props] = []
    for number, tenant in enumerate(customers):
        days = 400 - 30 * (number % 12)
        if number >= len(customers) - 2:
            days = 6 if number == len(customers) - 1 else -3
        customer: dict[str, Any] = {"tenantId": tenant.id, "displayName": tenant.name}
        rows.append(
            {
                "@odata.etag": 'W/"1"',
                "id": f"{tenant.id}-{call.tenant.id}",
                "displayName": f"Administration of {tenant.name}",
                "status": "active" if days > 0 else "expired",
                "duration": "P730D",
                "autoExtendDuration": "PT0S",
                "endDateTime": iso(tenant.now + timedelta(days=days)),
                "customer": customer,
            }
        )
    context = "tenantRelationships/delegatedAdminRelationships"
    return _pages(call, rows, context, _relationship_page(call))
