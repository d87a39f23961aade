"""Copy a template, or filters of that shape, to one Organization: what that would do, and doing it (F2, U10-U12).

Filters stay stored per Organization: following a template means that it is copied when it is saved. The preview is the
engine's; nothing here decides about people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portal.engine.preview import PreviewResult
from portal.errors import Refused, RetryLater
from portal.extensions import db
from portal.filter_templates import documents, service
from portal.filter_templates.documents import PatternMatch
from portal.http.formatting import plural
from portal.microsoft import service as microsoft
from portal.models import FilterTemplate, MicrosoftTenant, Organization, SyncRun, TemplateFollower
from portal.user_sync import documents as sync_documents
from portal.user_sync import known_domains, matching, previews, views
from portal.user_sync import service as user_sync

NAMED = 25
"""How many of those who enter or leave a preview names; the pop-up of one Organization names all."""
NO_GROUP_FITS, HIDDEN_GROUP, NOT_MAPPED = "no_group_fits", "hidden_group", "not_mapped"
MOVED = "moved"


@dataclass(frozen=True)
class Target:
    """What a User Sync will hold. applied: the whole template; request: the same with the Organization's own ``departures``."""

    request: dict[str, Any]
    applied: dict[str, Any]
    matches: Sequence[PatternMatch]
    departures: Sequence[str]


@dataclass(frozen=True)
class Previewed:
    """A target and what enabling or saving it would do. document: what ``rollouts.views`` shows of it, as JSON."""

    target: Target
    plan_id: str
    document: dict[str, Any]


class Blocked(Refused):
    """An Organization cannot take the template as things stand; ``code`` says which kind of reason it is."""

    def __init__(self, code: str, advice: str, *, link: str | None = None) -> None:
        super().__init__(advice, link=link)
        self.code = code


def target_of(
    organization: Organization, body: Mapping[str, Any], *, keeps_departures: bool = False
) -> Target:
    """The template in this Organization's Microsoft tenant.

    keeps_departures: parts in which it departs from the template that it follows stay its own. Raises Blocked when the Tenant is
    not mapped or no group fits, RetryLater while groups are needed before the first read.
    """
    microsoft_tenant = _mapped(organization)
    if not body["filters"]["group"]["all"]:
        microsoft.require_read(microsoft_tenant)
    resolved = service.resolve(body, microsoft_tenant.id)
    if resolved.accepts_nobody:
        names = ", ".join(f"“{pattern}”" for pattern in resolved.unmatched)
        raise Blocked(
            NO_GROUP_FITS,
            f"No group in {microsoft_tenant.name} matches {names}. Create the group there, or set up this Organization on its own.",
            link=f"/organizations/{organization.id}/user-sync",
        )
    departures: list[str] = []
    sync, follower = user_sync.find(organization), db.session.get(TemplateFollower, organization.id)
    if keeps_departures and sync is not None and follower is not None:
        departures = service.departures(follower, sync)
    saved = {} if sync is None else sync_documents.saved_request(sync)
    request = documents.with_parts(resolved.body, saved, departures)
    return Target(request, resolved.body, resolved.matches, departures)


def preview(
    organization: Organization, body: Mapping[str, Any], *, keeps_departures: bool = False
) -> Previewed:
    """What enabling or saving would do, from the mirror as it is; writes nothing.

    Raises as ``target`` does, RetryLater before the first read and until the members of the groups are read, and Blocked
    when Microsoft hides them.
    """
    microsoft_tenant = _mapped(organization)
    microsoft.require_read(microsoft_tenant)
    target = target_of(organization, body, keeps_departures=keeps_departures)
    match = matching.count(db.session(), microsoft_tenant, sync_documents.draft(target.request).filters)
    if match.hidden:
        raise Blocked(
            HIDDEN_GROUP,
            f"“{match.hidden[0]}” hides its members from the portal. Let the customer grant Member.Read.Hidden, or choose another group.",
        )
    if match.uncounted:
        raise RetryLater(
            f"The members of {plural(len(match.uncounted), 'group')} of {microsoft_tenant.name} are being read.",
            seconds=3,
        )
    answer = previews.preview(organization, target.request)
    return Previewed(target, answer.plan_id, _document(organization, target, answer.result, match))


def uncounted_groups(organization: Organization, body: Mapping[str, Any]) -> list[str]:
    """The ids of the groups that the template means here and whose members have not been read."""
    target = target_of(organization, body)
    spec = sync_documents.draft(target.request).filters
    return list(matching.count(db.session(), _mapped(organization), spec).uncounted)


def apply(organization: Organization, target: Target, template: FilterTemplate | None) -> SyncRun | None:
    """Enable or edit the User Sync, and follow the template. Returns the initial run that was queued. The caller commits and wakes.

    Raises as ``user_sync.put`` does. What is saved already is not saved again.
    """
    run = None
    if not is_saved(organization, target.request):
        run = user_sync.put(organization, target.request).run
    if template is not None:
        service.follow(organization, template, target.applied)
    return run


def is_saved(organization: Organization, request: Mapping[str, Any]) -> bool:
    """Whether the User Sync is enabled and says just this."""
    sync = user_sync.find(organization)
    if sync is None or not sync.enabled:
        return False
    return not documents.different_parts(sync_documents.saved_request(sync), request)


def guard(organization: Organization) -> views.Guard | None:
    """U10: whether the mapped Microsoft tenant looks like the right one."""
    return views.guard(known_domains.domain_overlap(organization), known_domains.known_endings(organization))


def guard_with(organization: Organization, microsoft_tenant: MicrosoftTenant) -> views.Guard | None:
    """The same for a Microsoft tenant that it might be mapped to."""
    return views.guard(known_domains.overlap_with(organization, microsoft_tenant), ())


def _mapped(organization: Organization) -> MicrosoftTenant:
    tenant = microsoft.mapped_to(organization)
    if tenant is None:
        raise Blocked(
            NOT_MAPPED,
            f"The Tenant {organization.tenant.name} is not mapped to a Microsoft tenant yet. Map it first.",
            link=f"/tenants/{organization.tenant_id}",
        )
    return tenant


def _document(
    organization: Organization, target: Target, result: PreviewResult, match: matching.Match
) -> dict[str, Any]:
    guarded, change = guard(organization), result.scope_change
    sync = user_sync.find(organization)
    return {
        "counts": result.counts_document(),
        "matching": match.matching,
        "total": match.total,
        "held": result.held,
        "warnings": list(result.warnings),
        "guard": None
        if guarded is None
        else {
            "tone": guarded.tone,
            "known": guarded.addresses,
            "matching": guarded.matching,
            "endings": guarded.endings,
        },
        "scope": None if change is None else _scope(change),
        "groups": [
            {"pattern": match.pattern, "names": [group.name for group in match.groups]}
            for match in target.matches
        ],
        "kept": list(target.departures),
        "applied": target.applied,
        "is_enabled": sync is not None and sync.enabled,
        "is_saved": is_saved(organization, target.request),
    }


def _scope(change: Mapping[str, Any]) -> dict[str, Any]:
    """U11 in numbers, and the first names."""
    return {
        "enters": len(change["enters"]),
        "leaves": len(change["leaves"]),
        "stays": change["stays"],
        "entering": [_name(person) for person in change["enters"][:NAMED]],
        "leaving": [_name(person) for person in change["leaves"][:NAMED]],
    }


def _name(person: Mapping[str, str]) -> str:
    return person["display_name"] or person["email"] or person["user_principal_name"] or person["object_id"]
