"""Fills one tenant with groups: every kind, nested, in circles, hidden, empty and of one name (docs/microsoft-graph.md, 4.1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from simulator.objects import Group, Props, User, new_id
from simulator.oddities import LONG_NAME
from simulator.people import Population

SECURITY: Props = {"groupTypes": [], "mailEnabled": False, "securityEnabled": True}
UNIFIED: Props = {
    "groupTypes": ["Unified"],
    "mailEnabled": True,
    "securityEnabled": False,
    "visibility": "Private",
}
MAIL_SECURITY: Props = {"groupTypes": [], "mailEnabled": True, "securityEnabled": True}
DISTRIBUTION: Props = {"groupTypes": [], "mailEnabled": True, "securityEnabled": False}


class _Groups:
    """Adds groups to one population."""

    def __init__(self, population: Population) -> None:
        self.population = population
        self.directory = population.directory
        self.rng = population.rng

    def add(self, name: str, kind: Props, members: Iterable[User | Group | str] = (), **more: Any) -> Group:
        """Add a group with the given direct members; a text member is a device or another object's id."""
        nickname = (
            "".join(letter for letter in name.lower() if letter.isascii() and letter.isalnum()) or "group"
        )
        props: Props = {
            "displayName": name,
            "mailNickname": nickname[:60],
            "createdDateTime": self.population.created[0],
            "isAssignableToRole": False,
            **kind,
        }
        if kind["mailEnabled"]:
            props["mail"] = f"{nickname[:60]}@{self.population.tenant.default_domain}"
            props["proxyAddresses"] = [f"SMTP:{props['mail']}"]
        props.update(more)
        group = Group(new_id(self.rng), props)
        for member in members:
            if isinstance(member, User):
                group.members[member.id] = "user"
            elif isinstance(member, Group):
                group.members[member.id] = "group"
            else:
                group.members[member] = self.directory.others[member]["kind"]
        self.directory.groups[group.id] = group
        return group

    def other(self, kind: str, name: str) -> str:
        """Something that is neither user nor group but may be a member."""
        object_id = new_id(self.rng)
        self.directory.others[object_id] = {"kind": kind, "displayName": name}
        return object_id


def add_groups(population: Population) -> None:
    """Add the groups of a tenant; ordinary ones hold its departments."""
    groups = _Groups(population)
    users = list(population.directory.users.values())
    people = [user for user in users if user.props.get("userType") == "Member"]
    guests = [user for user in users if user.props.get("userType") == "Guest"]
    rng = population.rng
    by_department = _by_department(population, groups, people)
    groups.add(
        "All Staff",
        {**SECURITY, "groupTypes": ["DynamicMembership"]},
        people,
        membershipRule='(user.userType -eq "Member")',
        membershipRuleProcessingState="On",
    )
    groups.add(
        "Guests",
        {**SECURITY, "groupTypes": ["DynamicMembership"]},
        guests,
        membershipRule='(user.userType -eq "Guest")',
        membershipRuleProcessingState="Paused",
    )
    managers = rng.sample(people, min(len(people), 6))
    leads = groups.add("Team Leads", SECURITY, managers)
    field_work = groups.add("Field Work", SECURITY, [*by_department[-2:], leads])
    groups.add("Operations", SECURITY, [field_work, by_department[0]], description="Nested two levels deep")
    _add_circle(groups, people)
    principal = groups.other("servicePrincipal", "Backup App")
    contact = groups.other("orgContact", "Press Office")
    groups.add("VPN Access", MAIL_SECURITY, [*rng.sample(people, min(len(people), 9)), principal, contact])
    groups.add("Newsletter", DISTRIBUTION, [*rng.sample(people, min(len(people), 20)), *guests, contact])
    groups.add("Empty Group", SECURITY)
    groups.add(
        "Works Council",
        {**UNIFIED, "visibility": "HiddenMembership"},
        rng.sample(people, min(len(people), 5)),
    )
    for number in (1, 2):
        groups.add("Project Phoenix", (SECURITY, UNIFIED)[number - 1], people[: 3 * number])
    groups.add("Helpdesk Admins", SECURITY, people[:2], isAssignableToRole=True)
    groups.add(
        "Domain Users",
        SECURITY,
        people[: max(1, len(people) // 3)],
        onPremisesSyncEnabled=True,
        onPremisesSamAccountName="Domain Users",
    )
    if population.tenant.oddities:
        _add_odd_names(groups, people)


def _by_department(population: Population, groups: _Groups, people: list[User]) -> list[Group]:
    departments: dict[str, list[User]] = {name: [] for name in population.tenant.company.departments}
    for user in people:
        held = departments.get(user.props.get("department") or "")
        if held is not None:
            held.append(user)
    return [
        groups.add(name, UNIFIED, members, description=f"Everybody in {name}")
        for name, members in departments.items()
    ]


def _add_odd_names(groups: _Groups, people: list[User]) -> None:
    groups.add("<img src=x onerror=alert(1)> & Sons", SECURITY, people[:2])
    groups.add("=cmd|'/c calc'!A1", SECURITY, people[:1])
    groups.add(LONG_NAME, SECURITY, people[:1])
    groups.add("\u202eקבוצה\u202c 👥", UNIFIED, people[:2])


def _add_circle(groups: _Groups, people: list[User]) -> None:
    first = groups.add("Circle A", SECURITY, people[:2])
    second = groups.add("Circle B", SECURITY, [first, *people[2:4]])
    third = groups.add("Circle C", SECURITY, [second, *people[4:5]])
    first.members[third.id] = "group"
