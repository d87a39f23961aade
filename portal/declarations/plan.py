"""What a declarative file would change, by name, compared with how things are. Writes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from sqlalchemy import select

from portal.declarations.file import Declaration, DeclaredOrganization, DeclaredTemplate
from portal.errors import Invalid
from portal.extensions import db
from portal.filter_templates import copying, documents
from portal.filter_templates import service as templates
from portal.microsoft import service as microsoft
from portal.models import MicrosoftTenant, Organization, Tenant
from portal.models.microsoft import IS_CONNECTED
from portal.organizations import tags
from portal.text import domain_key, text_key
from portal.user_sync import service as user_sync

ADD, CHANGE, TAKE = "+", "~", "-"
NAMED = 5
OTHER_DOMAINS = (
    "This may be the wrong Microsoft tenant: none of {known:,} known e-mail addresses belongs to its domains. "
    "If it is the right one, add accept_other_domains = true."
)


@dataclass(frozen=True)
class Step:
    """One thing that would be done. sign: + | ~ | -. action: template | connect | organization | tags | map | enable | edit | disable."""

    sign: str
    action: str
    path: str
    name: str
    words: str

    def line(self) -> str:
        """The step as the command line shows it."""
        return f"{self.sign} {self.words}"

    def document(self) -> dict[str, str]:
        """The step as the API shows it."""
        return {
            "sign": self.sign,
            "action": self.action,
            "path": self.path,
            "name": self.name,
            "words": self.words,
        }


@dataclass(frozen=True)
class Plan:
    """Everything that would be done, in this order. problems: key path -> why something cannot be; nothing is done then."""

    steps: Sequence[Step] = ()
    problems: Mapping[str, list[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def plan_id(self) -> str:
        """The plan's id: the same steps have the same id."""
        return sha256(json.dumps([step.document() for step in self.steps]).encode()).hexdigest()[:32]


def plan(declaration: Declaration) -> Plan:
    """Compare a declaration with how things are."""
    steps: list[Step] = []
    problems: dict[str, list[str]] = {}
    notes: list[str] = []
    for template in declaration.templates:
        steps += template_steps(template)
    declared = {text_key(template.name): template for template in declaration.templates}
    for organization in declaration.organizations:
        try:
            steps += organization_steps(organization, declared)
        except Invalid as error:
            problems.update(error.errors)
    problems.update(_claimed_twice(declaration))
    return Plan(steps, problems, notes)


def template_steps(entry: DeclaredTemplate) -> list[Step]:
    """The steps for one filter template."""
    row = templates.find(entry.name)
    if row is None:
        return [Step(ADD, "template", entry.path, entry.name, f"Filter template {entry.name}")]
    parts = templates.changed_parts(documents.body_of(row), entry.body)
    if not parts:
        return []
    effect = "; ".join(f"{documents.PART_LABELS[p]}: {documents.part_words(entry.body, p)}" for p in parts)
    names = [follower.name for follower in templates.followers(row.id)]
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    followers = f". Followed by {', '.join(names[:NAMED])}{more}" if names else ""
    return [
        Step(
            CHANGE,
            "template",
            entry.path,
            entry.name,
            f"Filter template {entry.name}: {effect}{followers}",
        )
    ]


def organization_steps(entry: DeclaredOrganization, declared: Mapping[str, DeclaredTemplate]) -> list[Step]:
    """The steps for one Organization. Raises Invalid by key path for what is impossible."""
    organization, steps = find_organization(entry.name), []

    def step(sign: str, action: str, words: str) -> None:
        steps.append(Step(sign, action, entry.path, entry.name, words))

    if organization is None:
        step(ADD, "organization", f"Organization {entry.name}")
    if entry.tags is not None:
        names = _checked_tags(entry)
        present = set() if organization is None else {tag.name_key for tag in organization.tags}
        if present != {text_key(name) for name in names}:
            sign = CHANGE if present else ADD
            step(sign, "tags", f"Organization {entry.name}: tags {', '.join(names) or 'none'}")
    mapped = None if organization is None else microsoft.mapped_to(organization)
    if entry.microsoft_tenant is not None:
        tenant = find_tenant(entry.microsoft_tenant)
        if tenant is None:
            step(ADD, "connect", f"Microsoft tenant {entry.microsoft_tenant}: connect")
        if tenant is None or mapped is None or mapped.id != tenant.id:
            _refuse_other_mapping(entry, organization, mapped, tenant)
            name = entry.microsoft_tenant if tenant is None else tenant.name
            step(ADD, "map", f"Organization {entry.name}: map to the Microsoft tenant {name}")
        mapped = tenant or mapped
    steps += _sync_steps(entry, organization, mapped, declared)
    return steps


def _sync_steps(
    entry: DeclaredOrganization,
    organization: Organization | None,
    mapped: MicrosoftTenant | None,
    declared: Mapping[str, DeclaredTemplate],
) -> list[Step]:
    sync = None if organization is None else user_sync.find(organization)
    is_on = sync is not None and sync.enabled
    if entry.enabled is False or (entry.enabled is None and not is_on and entry.filter_template is None):
        if entry.enabled is False and is_on:
            words = f"Organization {entry.name}: disable the User Sync"
            return [Step(TAKE, "disable", entry.path, entry.name, words)]
        return []
    if entry.enabled is None and not is_on:
        raise _problem(
            entry, "filter_template", "Add enabled = true: a template takes effect with an enabled sync."
        )
    if mapped is None and entry.microsoft_tenant is None:
        raise _problem(entry, "enabled", "Its Tenant is not mapped. Add microsoft_tenant.")
    name = _template_name(entry, declared)
    if not is_on:
        _refuse_other_domains(entry, organization, mapped)
        with_words = f"with the filter template {name}" if name else "with the filters it had, or everyone"
        words = f"Organization {entry.name}: enable the User Sync {with_words}"
        return [Step(ADD, "enable", entry.path, entry.name, words)]
    following = None if organization is None else templates.followings([organization.id]).get(organization.id)
    if name is None or (following is not None and text_key(following.template.name) == text_key(name)):
        return _drift_steps(entry, following, mapped, name)
    before = f"instead of {following.template.name}" if following else "instead of filters of its own"
    words = f"Organization {entry.name}: follow the filter template {name} {before}"
    return [Step(CHANGE, "edit", entry.path, entry.name, words)]


def _drift_steps(
    entry: DeclaredOrganization,
    following: templates.Following | None,
    mapped: MicrosoftTenant | None,
    name: str | None,
) -> list[Step]:
    """Its template was not copied as it is now: the groups have changed, or it could not be when the template did."""
    if name is None or following is None or mapped is None or mapped.last_synced_at is None:
        return []
    parts = templates.drifted(following, mapped.id)
    if not parts:
        return []
    labels = ", ".join(documents.PART_LABELS[part] for part in parts)
    words = f"Organization {entry.name}: copy the filter template {name} again ({labels})"
    return [Step(CHANGE, "edit", entry.path, entry.name, words)]


def find_organization(name: str) -> Organization | None:
    """The Organization of this name."""
    return db.session.scalar(select(Organization).where(Organization.name_key == text_key(name)))


def find_tenant(text: str) -> MicrosoftTenant | None:
    """The connected Microsoft tenant of a tenant ID or a verified domain."""
    key = domain_key(text)
    tenant = db.session.scalar(
        select(MicrosoftTenant).where(MicrosoftTenant.directory_id == key, IS_CONNECTED)
    )
    if tenant is not None or "." not in key:
        return tenant
    for row in db.session.scalars(select(MicrosoftTenant).where(IS_CONNECTED)):
        if any(domain_key(str(domain["name"])) == key for domain in row.domains):
            return row
    return None


def _checked_tags(entry: DeclaredOrganization) -> list[str]:
    """The tags it shall have. Raises Invalid by key path."""
    try:
        return tags.checked(entry.tags or ())
    except Invalid as error:
        raise Invalid({f"{entry.path}.tags": error.errors["tags"]}) from error


def _template_name(entry: DeclaredOrganization, declared: Mapping[str, DeclaredTemplate]) -> str | None:
    if entry.filter_template is None:
        return None
    row = templates.find(entry.filter_template)
    if row is None and text_key(entry.filter_template) not in declared:
        raise _problem(
            entry,
            "filter_template",
            "There is no filter template of this name, neither here nor in the file.",
        )
    return entry.filter_template if row is None else row.name


def _refuse_other_mapping(
    entry: DeclaredOrganization,
    organization: Organization | None,
    mapped: MicrosoftTenant | None,
    tenant: MicrosoftTenant | None,
) -> None:
    if mapped is not None:
        raise _problem(entry, "microsoft_tenant", f"It is mapped to {mapped.name}. Unmap it first.")
    if tenant is None:
        return
    elsewhere = db.session.scalar(select(Tenant).where(Tenant.microsoft_tenant_id == tenant.id))
    if elsewhere is not None and (organization is None or elsewhere.id != organization.tenant_id):
        raise _problem(
            entry,
            "microsoft_tenant",
            f"{tenant.name} is mapped to the Tenant {elsewhere.name}. Unmap it there first.",
        )


def _refuse_other_domains(
    entry: DeclaredOrganization, organization: Organization | None, mapped: MicrosoftTenant | None
) -> None:
    """U10, as far as the domains show before mapping."""
    if organization is None or mapped is None or entry.accept_other_domains:
        return
    warning = copying.guard_with(organization, mapped)
    if warning is not None and warning.asks:
        raise _problem(entry, "microsoft_tenant", OTHER_DOMAINS.format(known=warning.addresses))


def _claimed_twice(declaration: Declaration) -> dict[str, list[str]]:
    """One Microsoft tenant for two Organizations would need one Tenant for both: not made here."""
    paths: dict[str, str] = {}
    errors: dict[str, list[str]] = {}
    for entry in declaration.organizations:
        if entry.microsoft_tenant is None:
            continue
        tenant = find_tenant(entry.microsoft_tenant)
        key = domain_key(entry.microsoft_tenant) if tenant is None else tenant.id
        first = paths.setdefault(key, entry.path)
        organization = find_organization(entry.name)
        shares = organization is not None and tenant is not None
        if first != entry.path and not (shares and _is_mapped(organization, tenant)):
            errors[f"{entry.path}.microsoft_tenant"] = [f"{first} has this Microsoft tenant too."]
    return errors


def _is_mapped(organization: Organization | None, tenant: MicrosoftTenant | None) -> bool:
    return (
        organization is not None
        and tenant is not None
        and organization.tenant.microsoft_tenant_id == tenant.id
    )


def _problem(entry: DeclaredOrganization, key: str, text: str) -> Invalid:
    return Invalid({f"{entry.path}.{key}": [text]})
