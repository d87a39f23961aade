"""Do exactly what a plan showed: each step in its own transaction, compared with the plan first.

A step that would be another one by now is not done: somebody changed that meanwhile, and the next plan tells. Everything may be
done twice: what is there already is no step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from portal.declarations import plan
from portal.declarations.file import Declaration, DeclaredOrganization, DeclaredTemplate
from portal.declarations.plan import Plan, Step
from portal.errors import Invalid, PortalError, Refused, RetryLater
from portal.extensions import db
from portal.filter_templates import copying, documents
from portal.filter_templates import service as templates
from portal.locks import lock
from portal.microsoft import service as microsoft
from portal.models import FilterTemplate, Organization
from portal.organizations import service as organizations
from portal.organizations import tags
from portal.rollouts import bulk
from portal.runtime import runtime
from portal.tenants import service as tenants
from portal.text import text_key
from portal.transactions import begin_write
from portal.user_sync import documents as sync_documents
from portal.user_sync import service as user_sync

MOVED = "This was changed after the plan was shown, so nothing was applied. Review the new plan."
SKIPPED = "Not tried, because an earlier step failed."


@dataclass(frozen=True)
class Done:
    """The outcome of a step. problem: "" if it is done. waits: it needs the first read of a tenant; apply again later."""

    step: Step
    problem: str = ""
    waits: bool = False

    def document(self) -> dict[str, object]:
        """The step as the API shows it once it was tried."""
        outcome = "waiting" if self.waits else ("refused" if self.problem else "done")
        return {**self.step.document(), "outcome": outcome, "problem": self.problem or None}


def execute(declaration: Declaration, proposal: Plan) -> Iterator[Done]:
    """Do the steps of a plan one by one. Nothing may be pending in the session."""
    by_path: dict[str, list[Step]] = {}
    for step in proposal.steps:
        by_path.setdefault(step.path, []).append(step)
    declared = {text_key(template.name): template for template in declaration.templates}
    for template in declaration.templates:
        yield from _each(by_path.get(template.path, ()), partial(_template, template))
    for organization in declaration.organizations:
        steps = by_path.get(organization.path, ())
        yield from _each(steps, partial(_organization_step, organization, declared))


def _each(steps: Sequence[Step], do: Callable[[Step], list[str]]) -> Iterator[Done]:
    """The steps of one entry; when one cannot be done, those after it are not tried."""
    stopped = ""
    for step in steps:
        if stopped:
            yield Done(step, stopped)
            continue
        try:
            troubles = do(step)
        except RetryLater as later:
            db.session.rollback()
            yield Done(step, later.advice, waits=True)
            stopped = SKIPPED
        except Invalid as error:
            db.session.rollback()
            yield Done(step, error.sentences())
            stopped = SKIPPED
        except PortalError as error:
            db.session.rollback()
            yield Done(step, error.advice)
            stopped = SKIPPED
        else:
            yield Done(step, " ".join(troubles))


def _template(entry: DeclaredTemplate, step: Step) -> list[str]:
    """Create or change a template, and copy it to its followers. Returns a sentence for each copy that failed."""
    begin_write(db.session())
    if step not in plan.template_steps(entry):
        raise Refused(MOVED)
    row = templates.find(entry.name)
    if row is None:
        templates.create(entry.name, entry.body)
        db.session.commit()
        return []
    followers, template_id = bulk.follower_ids(row), row.id
    templates.change(row, entry.name, entry.body)
    db.session.commit()
    results = bulk.apply(followers, entry.body, template_id, keeps_departures=True)
    runtime().wake()
    return [f"{result.name}: {result.problem}" for result in results if result.problem]


def _organization_step(
    entry: DeclaredOrganization, declared: dict[str, DeclaredTemplate], step: Step
) -> list[str]:
    """One step of an Organization, if it is still the next thing to do."""
    db.session.rollback()
    left = [pending for pending in plan.organization_steps(entry, declared) if pending.action == step.action]
    if not left or left[0].sign != step.sign:
        raise Refused(MOVED)
    _STEPS[step.action](entry)
    return []


def _connect(entry: DeclaredOrganization) -> None:
    db.session.rollback()
    microsoft.connect_releasing(entry.microsoft_tenant or "", entry.cloud)
    db.session.commit()
    runtime().wake()


def _create(entry: DeclaredOrganization) -> None:
    begin_write(db.session())
    organizations.create(entry.name)
    db.session.commit()


def _set_tags(entry: DeclaredOrganization) -> None:
    begin_write(db.session())
    tags.replace(_organization(entry), entry.tags or ())
    db.session.commit()


def _map(entry: DeclaredOrganization) -> None:
    begin_write(db.session())
    tenant = plan.find_tenant(entry.microsoft_tenant or "")
    if tenant is None:
        raise Refused(MOVED)
    tenants.map_only(_organization(entry).tenant, tenant)
    db.session.commit()


def _disable(entry: DeclaredOrganization) -> None:
    begin_write(db.session())
    user_sync.disable(_organization(entry))
    db.session.commit()
    runtime().wake()


def _set_up(entry: DeclaredOrganization) -> None:
    """Enable or edit. Groups are searched for in the mirror: before the first read that waits (RetryLater)."""
    begin_write(db.session())
    organization = _organization(entry)
    guard = copying.guard(organization)
    if guard is not None and guard.asks and not _is_on(organization) and not entry.accept_other_domains:
        raise Refused(plan.OTHER_DOMAINS.format(known=guard.addresses))
    template = None if entry.filter_template is None else _template_of(entry.filter_template)
    if template is not None:
        target = _target(organization, template)
        copying.apply(organization, target, template)
    else:
        sync = user_sync.find(organization)
        request = sync_documents.default_request() if sync is None else sync_documents.saved_request(sync)
        user_sync.put(organization, request)
    db.session.commit()
    runtime().wake()


def _target(organization: Organization, template: FilterTemplate) -> copying.Target:
    """The template here. Raises RetryLater while the first read goes on, Refused when it failed."""
    try:
        return copying.target_of(organization, documents.body_of(template))
    except RetryLater as later:
        tenant = microsoft.mapped_to(organization)
        if tenant is not None and tenant.problem is not None:
            raise Refused(later.advice) from later
        raise


_STEPS: dict[str, Callable[[DeclaredOrganization], None]] = {
    "connect": _connect,
    "organization": _create,
    "tags": _set_tags,
    "map": _map,
    "enable": _set_up,
    "edit": _set_up,
    "disable": _disable,
}


def _is_on(organization: Organization) -> bool:
    sync = user_sync.find(organization)
    return sync is not None and sync.enabled


def _organization(entry: DeclaredOrganization) -> Organization:
    organization = plan.find_organization(entry.name)
    if organization is None:
        raise Refused(MOVED)
    return lock(db.session(), Organization, organization.id, "Organization")


def _template_of(name: str) -> FilterTemplate:
    template = templates.find(name)
    if template is None:
        raise Refused(f"The filter template {name} has been deleted.")
    return template
