"""One simulated Microsoft tenant: its subscriptions, what it consented to, and its directory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from simulator import skus
from simulator.names import Company
from simulator.objects import Directory


@dataclass(slots=True)
class Principal:
    """The app's service principal in one tenant: consent, as granted."""

    roles: set[str]
    is_enabled: bool = True


class Tenant:
    """One Microsoft tenant. ``fill`` makes its directory when that is first looked at, so a world of many tenants is cheap.

    is_premium and has_intune follow the subscriptions unless set to True or False.
    """

    def __init__(
        self,
        tenant_id: str,
        company: Company,
        fill: Callable[[Tenant], Directory],
        *,
        users: int,
        seed: int,
        now: datetime,
        oddities: bool,
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
        self._fill = fill
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
                    self._directory = self._fill(self)
        return self._directory

    def is_made(self) -> bool:
        """True once the directory was looked at."""
        return self._directory is not None

    @property
    def is_premium(self) -> bool:
        """True with Entra ID P1 or P2."""
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
