"""Fills one tenant: its people, then their groups and devices."""

from __future__ import annotations

from simulator.devices import add_devices
from simulator.groups import add_groups
from simulator.objects import Directory
from simulator.oddities import add_oddities
from simulator.people import Population
from simulator.tenant import Tenant


def populate(tenant: Tenant) -> Directory:
    """The directory of a tenant: an administrator, odd accounts, ordinary people, then groups and devices."""
    population = Population(tenant)
    office = tenant.company.offices[0]
    admin = population.person("Ada", "Admin", "admin", tenant.default_domain, "IT", office, "Administrator")
    admin.is_admin = True
    population.local_parts["admin"] = 1
    population.add(admin)
    directory = population.directory
    if tenant.oddities:
        add_oddities(population, room=max(0, tenant.user_count // 2))
    while len(directory.users) < tenant.user_count:
        population.add(population.ordinary())
    add_groups(population)
    add_devices(population)
    return directory
