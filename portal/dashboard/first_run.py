"""The first run: what a new portal needs before anybody is synced, step by step, until the first sync is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from portal.models import MicrosoftTenant, Organization, Role, Tenant, UserSync
from portal.models.microsoft import IS_CONNECTED


@dataclass(frozen=True)
class Step:
    """One step. state: done | now | later. link, action: where it is done; "" where the reader may not do it.

    who: who does it then.
    """

    number: int
    title: str
    detail: str
    state: str
    link: str = ""
    action: str = ""
    second_link: str = ""
    second_action: str = ""
    who: str = ""


@dataclass(frozen=True)
class Checklist:
    """The steps, and how many are done."""

    steps: Sequence[Step]
    done: int


@dataclass(frozen=True)
class _Recipe:
    title: str
    detail: str
    link: str
    action: str
    role: Role = Role.ADMINISTRATOR
    second: tuple[str, str] = ("", "")


_RECIPES = (
    _Recipe(
        "Create the app registration",
        "Register Rollcall in your own Microsoft Entra tenant, and enter its client ID and secret here. "
        "The page lists every step.",
        "/settings/microsoft",
        "Enter the app registration",
    ),
    _Recipe(
        "Connect a Microsoft tenant",
        "An administrator of the customer consents once. Partners can list their customers and connect many.",
        "/microsoft-tenants/connect",
        "Connect a Microsoft tenant",
        second=("/microsoft-tenants/discover", "Discover customers"),
    ),
    _Recipe(
        "Add an Organization",
        "An Organization is a customer: it owns End Users and Assets. It comes with a Tenant of its own.",
        "/organizations/new",
        "Add an Organization",
        second=("/microsoft-tenants?mapped=false", "Map a Microsoft tenant to a new one"),
    ),
    _Recipe(
        "Map its Tenant to the Microsoft tenant",
        "The Tenant says which Microsoft tenant its Organizations sync from.",
        "/microsoft-tenants?mapped=false",
        "Map a Microsoft tenant",
        Role.TECHNICIAN,
    ),
    _Recipe(
        "Set up Microsoft Entra ID User Sync",
        "Choose who becomes an End User, review the preview, and enable it.",
        "/attention?kind=not_set_up",
        "Choose an Organization",
    ),
    _Recipe(
        "Wait for the first sync",
        "People appear while it runs. Afterwards it runs every hour.",
        "/sync-runs",
        "Follow it",
        Role.READ_ONLY,
    ),
)


def checklist(session: Session, role: Role, *, is_registered: bool) -> Checklist | None:
    """The steps as far as they are done; None once any Organization's first sync is over."""
    mapped = select(Tenant.id).join(Organization, Organization.tenant_id == Tenant.id)
    facts = session.execute(
        select(
            exists().where(IS_CONNECTED, MicrosoftTenant.id.is_not(None)),
            exists().where(Organization.id.is_not(None)),
            mapped.where(Tenant.microsoft_tenant_id.is_not(None)).exists(),
            exists().where(UserSync.enabled.is_(True)),
            exists().where(UserSync.initial_done_at.is_not(None)),
        )
    ).one()
    is_connected, has_organization, is_mapped, is_enabled, is_synced = map(bool, facts)
    if is_synced:
        return None
    done = (is_registered or is_connected, is_connected, has_organization, is_mapped, is_enabled, is_synced)
    now = done.index(False)
    steps = [
        _step(number, recipe, "done" if done[number] else "now" if number == now else "later", role)
        for number, recipe in enumerate(_RECIPES)
    ]
    return Checklist(steps, sum(done))


def _step(number: int, recipe: _Recipe, state: str, role: Role) -> Step:
    if state != "now":
        return Step(number + 1, recipe.title, recipe.detail, state)
    if role.rank < recipe.role.rank:
        who = (
            "Ask an administrator to do this."
            if recipe.role is Role.ADMINISTRATOR
            else "Ask a technician to do this."
        )
        return Step(number + 1, recipe.title, recipe.detail, state, who=who)
    return Step(number + 1, recipe.title, recipe.detail, state, recipe.link, recipe.action, *recipe.second)
