"""The simulated world: one app registration and the tenants that know it, all derived from a seed."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from portal.simulator import names, skus
from portal.simulator.messages import utc_now
from portal.simulator.names import Company
from portal.simulator.objects import Directory, new_id
from portal.simulator.populate import populate

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


@dataclass(slots=True)
class Principal:
    """The app's service principal in one tenant: consent, as granted."""

    roles: set[str]
    is_enabled: bool = True


class Tenant:
    """One Microsoft tenant. Its directory is made when first looked at, so a world of many tenants is cheap.

    is_premium and has_intune follow the subscriptions unless set to True or False.
    """

    def __init__(
        self, tenant_id: str, company: Company, *, users: int, seed: int, now: datetime, oddities: bool
    ) -> None:
        self.id = tenant_id
        self.company = company
        self.name = company.name
        self.tenant_type = "AAD"
        self.skus: tuple[skus.Sku, ...] = skus.PREMIUM_TENANT
        self.principal: Principal | None = None
        self.was_consented = False
        self.is_partner = False
        self.premium_override: bool | None = None
        self.intune_override: bool | None = None
        self.not_before: datetime | None = None
        """Access tokens issued before this moment count as expired."""
        self.delta_epoch = 0
        self.lock = threading.RLock()
        self.user_count = users
        self.seed = seed
        self.now = now
        self.oddities = oddities
        self._directory: Directory | None = None

    @property
    def initial_domain(self) -> str:
        """The domain Microsoft gave the tenant."""
        return f"{self.company.handle}.onmicrosoft.com"

    @property
    def default_domain(self) -> str:
        """The domain new people get."""
        return self.company.domains[0]

    @property
    def domains(self) -> tuple[str, ...]:
        """The verified domains."""
        return (*self.company.domains, self.initial_domain)

    @property
    def directory(self) -> Directory:
        """The tenant's objects, made on first use."""
        if self._directory is None:
            with self.lock:
                if self._directory is None:
                    self._directory = populate(self)
        return self._directory

    def is_made(self) -> bool:
        """True once the directory was looked at."""
        return self._directory is not None

    @property
    def is_premium(self) -> bool:
        """True with Entra ID P1 or P2 (graph-facts 5.3)."""
        if self.premium_override is not None:
            return self.premium_override
        return self._has_plan(skus.PREMIUM_PLANS)

    @property
    def has_intune(self) -> bool:
        """True with a full Intune plan."""
        if self.intune_override is not None:
            return self.intune_override
        return self._has_plan(skus.INTUNE_PLANS)

    @property
    def is_b2c(self) -> bool:
        """True for customer-identity tenants, which have no delta and no counts."""
        return self.tenant_type != "AAD"

    def _has_plan(self, plans: frozenset[str]) -> bool:
        return any(
            sku.is_subscribed and sku.status in {"Enabled", "Warning"} and plans.intersection(sku.plans)
            for sku in self.skus
        )


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
        if found := self.tenants.get(key):
            return found
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
