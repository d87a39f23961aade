"""The simulated world: one app registration and the tenants that know it, all derived from a seed."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from simulator import names, skus
from simulator.messages import utc_now
from simulator.names import Company
from simulator.objects import new_id
from simulator.populate import populate
from simulator.tenant import Principal, Tenant

CORE_ROLES = (
    "User.Read.All",
    "GroupMember.Read.All",
    "Organization.Read.All",
    "Domain.Read.All",
    "AuditLog.Read.All",
    "Device.Read.All",
    "DeviceManagementManagedDevices.Read.All",
    "Member.Read.Hidden",
)
PARTNER_ROLES = ("Directory.Read.All", "DelegatedAdminRelationship.Read.All")


@dataclass(slots=True)
class Secret:
    """A client secret of the registration; its ``id`` is what people paste by mistake."""

    id: str
    value: str
    expires_at: datetime


@dataclass(slots=True)
class Application:
    """The portal's multi-tenant app registration.

    certificates: PEM texts of the uploaded public parts.
    redirect_uris: the registered ones; None accepts every https address and every one on this machine.
    """

    client_id: str
    secrets: list[Secret]
    roles: tuple[str, ...] = CORE_ROLES
    certificates: list[str] = field(default_factory=list)
    redirect_uris: list[str] | None = None


class World:
    """Tenants and the registration. The same arguments give the same ids, secrets and people.

    tenants: how many consented customer tenants. The first has premium and Intune, the second has neither.
    users: people per tenant (guests and service accounts included), or one number for each.
    oddities: whether hostile texts, duplicates, guests and the like are among the people.
    Besides there are a partner tenant, consented too, and five of its customers that are not.
    """

    def __init__(
        self,
        tenants: int = 2,
        users: int | Sequence[int] = 400,
        seed: int = 1,
        *,
        oddities: bool = True,
        delta_page_size: int = 200,
        now: datetime | None = None,
    ) -> None:
        if tenants < 1:
            raise ValueError("A world needs at least one tenant.")
        sizes = [users] * tenants if isinstance(users, int) else list(users)
        if len(sizes) != tenants:
            raise ValueError(f"Give {tenants} numbers of users, one for each tenant, or a single one.")
        if any(size < 1 for size in sizes):
            raise ValueError("A tenant needs at least one user.")
        self.sizes = sizes
        self.seed = seed
        self.oddities = oddities
        self.delta_page_size = delta_page_size
        self.started_at = now or utc_now()
        self.certificates: list[str] = []
        self.lock = threading.RLock()
        self._build()

    def _build(self) -> None:
        rng = random.Random(self.seed)
        alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
        value = "".join(rng.choices(alphabet, k=3)) + "8Q~" + "".join(rng.choices(alphabet, k=34))
        expires_at = self.started_at + timedelta(days=180)
        self.app = Application(
            new_id(rng), [Secret(new_id(rng), value, expires_at)], certificates=list(self.certificates)
        )
        self.tenants: dict[str, Tenant] = {}
        self.tenant_ids: list[str] = []
        self.customer_ids: list[str] = []
        for number, size in enumerate(self.sizes):
            tenant = self._add(rng, names.synced_company(number), size)
            tenant.skus = (skus.PREMIUM_TENANT, skus.BASIC_TENANT, skus.ENTERPRISE_TENANT)[
                number if number < 2 else number % 3
            ]
            self._consent(tenant)
            self.tenant_ids.append(tenant.id)
        partner = self._add(rng, names.PARTNER_COMPANY, 12)
        partner.is_partner = True
        self._consent(partner)
        self.partner_tenant_id = partner.id
        for company in names.UNCONSENTED_COMPANIES:
            tenant = self._add(rng, company, 12)
            tenant.skus = skus.BASIC_TENANT
            self.customer_ids.append(tenant.id)

    def _add(self, rng: random.Random, company: Company, size: int) -> Tenant:
        tenant = Tenant(
            new_id(rng),
            company,
            populate,
            users=size,
            seed=rng.getrandbits(64),
            now=self.started_at,
            oddities=self.oddities,
        )
        self.tenants[tenant.id] = tenant
        return tenant

    def _consent(self, tenant: Tenant) -> None:
        tenant.principal = Principal(self.consented_roles(tenant))
        tenant.was_consented = True

    def consented_roles(self, tenant: Tenant) -> set[str]:
        """The roles an administrator of this tenant grants by accepting: all configured ones."""
        return {*self.app.roles, *(PARTNER_ROLES if tenant.is_partner else ())}

    def tenant(self, name: str) -> Tenant | None:
        """The tenant of a GUID or a verified domain, in any letter case."""
        key = name.lower()
        if home := self.tenants.get(key):
            return home
        return next((tenant for tenant in self.tenants.values() if key in tenant.domains), None)

    def reset(self) -> None:
        """Make everything as it was at the start; outstanding delta tokens expire."""
        with self.lock:
            epochs = {tenant.id: tenant.delta_epoch + 1 for tenant in self.tenants.values()}
            self._build()
            for tenant in self.tenants.values():
                tenant.delta_epoch = epochs.get(tenant.id, 0)

    def summary(self) -> dict[str, Any]:
        """Ids, names and sizes, for people and tests."""
        return {
            "client_id": self.app.client_id,
            "partner_tenant_id": self.partner_tenant_id,
            "tenants": [
                {
                    "id": tenant.id,
                    "name": tenant.name,
                    "domains": list(tenant.domains),
                    "users": len(tenant.directory.users) if tenant.is_made() else tenant.user_count,
                    "is_consented": tenant.principal is not None,
                    "roles": sorted(tenant.principal.roles) if tenant.principal else [],
                    "is_premium": tenant.is_premium,
                    "has_intune": tenant.has_intune,
                }
                for tenant in self.tenants.values()
            ],
        }
