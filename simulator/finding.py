"""Finding what a change names: tenants by id or domain, users by id or sign-in name, groups by id or name."""

from __future__ import annotations

from simulator.objects import Group, User
from simulator.tenant import Principal, Tenant
from simulator.world import World


class BadChange(ValueError):
    """A change that cannot be made; the text says why."""


class Finder:
    """Finds things of one world by what people call them."""

    def __init__(self, world: World) -> None:
        self.world = world

    def tenant(self, name: str) -> Tenant:
        """A tenant by id or domain. Raises BadChange."""
        tenant = self.world.tenant(name)
        if tenant is None:
            raise BadChange(f"There is no tenant {name}.")
        return tenant

    def _principal(self, tenant: str) -> Principal:
        principal = self.tenant(tenant).principal
        if principal is None:
            raise BadChange("The app is not consented to in this tenant.")
        return principal

    def _by_name(self, home: Tenant, key: str) -> User | None:
        sign_in_name = key.casefold()
        users = home.directory.users.values()
        return next(
            (user for user in users if str(user.props.get("userPrincipalName")).casefold() == sign_in_name),
            None,
        )

    def _user(self, tenant: str, key: str) -> tuple[Tenant, User]:
        home = self.tenant(tenant)
        user = home.directory.users.get(key.lower()) or self._by_name(home, key)
        if user is None:
            raise BadChange(f"There is no user {key}.")
        return home, user

    def _deleted(self, home: Tenant, key: str) -> User:
        sign_in_name = key.casefold()
        for user in home.directory.deleted.values():
            if sign_in_name in {user.id, str(user.props.get("userPrincipalName")).casefold()}:
                return user
        raise BadChange(f"There is no deleted user {key}.")

    def _group(self, tenant: str, key: str) -> tuple[Tenant, Group]:
        home = self.tenant(tenant)
        group = home.directory.groups.get(key.lower())
        if group is None:
            named = [
                group for group in home.directory.groups.values() if group.props.get("displayName") == key
            ]
            if len(named) != 1:
                raise BadChange(f"There are {len(named)} groups named {key}; give the id.")
            group = named[0]
        return home, group

    def _member(self, home: Tenant, key: str) -> tuple[str, str]:
        if key.lower() in home.directory.groups:
            return key.lower(), "group"
        user = home.directory.users.get(key.lower()) or self._by_name(home, key)
        if user is None:
            raise BadChange(f"There is no user or group {key}.")
        return user.id, "user"
