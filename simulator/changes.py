"""Changes of the world while it runs: people, groups, devices, consent, licenses. Each shows up in delta."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from simulator.finding import BadChange, Finder
from simulator.messages import iso, utc_now
from simulator.objects import Group, Props, User, new_id
from simulator.odata import Schema
from simulator.tenant import Principal
from simulator.world import Secret, World


class Changes(Finder):
    """Every way to change a world. Tenants are named by id or domain, users by id or sign-in name."""

    def __init__(self, world: World, users: Schema, groups: Schema) -> None:
        super().__init__(world)
        self._users = users
        self._groups = groups
        self._rng = random.Random(world.seed + 7)

    # People

    def patch_user(self, tenant: str, user: str, props: Mapping[str, Any]) -> str:
        """Set properties of a user; None clears one. Returns the id."""
        home, account = self._user(tenant, user)
        _check_settable(props, self._users)
        with home.lock:
            changed = {name for name, value in props.items() if account.props.get(name, ...) != value}
            account.props.update(props)
            if changed:
                home.directory.log.user(account.id, changed)
        return account.id

    def create_user(self, tenant: str, props: Mapping[str, Any], user_id: str | None = None) -> str:
        """Add a user; displayName and userPrincipalName are needed, the rest has plain values. Returns the id."""
        home = self.tenant(tenant)
        _check_settable(props, self._users)
        for name in ("displayName", "userPrincipalName"):
            if not props.get(name):
                raise BadChange(f"A user needs {name}.")
        plain: Props = {
            "userType": "Member",
            "accountEnabled": True,
            "createdDateTime": iso(utc_now()),
            "mail": props["userPrincipalName"],
            "proxyAddresses": [f"SMTP:{props['userPrincipalName']}"],
            "assignedLicenses": [],
        }
        with home.lock:
            directory = home.directory
            upn = str(props["userPrincipalName"]).casefold()
            if any(
                str(user.props.get("userPrincipalName")).casefold() == upn
                for user in directory.users.values()
            ):
                raise BadChange(f"Another user has the sign-in name {props['userPrincipalName']}.")
            user = User((user_id or new_id(self._rng)).lower(), {**plain, **props}, purpose="user")
            if user.id in directory.users or user.id in directory.deleted:
                raise BadChange(f"There is a user {user.id} already.")
            directory.users[user.id] = user
            directory.log.user(user.id)
        return user.id

    def set_agent(self, tenant: str, user: str, *, is_agent: bool) -> None:
        """Say of a user whether it is an AI agent."""
        home, account = self._user(tenant, user)
        with home.lock:
            account.is_agent = is_agent
            home.directory.log.user(account.id)

    def delete_user(self, tenant: str, user: str) -> str:
        """Soft-delete a user. Returns the id."""
        home, account = self._user(tenant, user)
        with home.lock:
            directory = home.directory
            del directory.users[account.id]
            account.deleted_at = utc_now()
            directory.deleted[account.id] = account
            directory.log.user(account.id)
            for group in directory.groups.values():
                if account.id in group.members:
                    directory.log.member(group.id, account.id, "user", is_added=False)
        return account.id

    def restore_user(self, tenant: str, user: str) -> str:
        """Bring a soft-deleted user back. Returns the id."""
        home = self.tenant(tenant)
        with home.lock:
            directory = home.directory
            account = self._deleted(home, user)
            del directory.deleted[account.id]
            account.deleted_at = None
            directory.users[account.id] = account
            directory.log.user(account.id)
            for group in directory.groups.values():
                if account.id in group.members:
                    directory.log.member(group.id, account.id, "user", is_added=True)
        return account.id

    def purge_user(self, tenant: str, user: str) -> str:
        """Delete a user for good, soft-deleted before or not. Returns the id."""
        home = self.tenant(tenant)
        with home.lock:
            directory = home.directory
            account = directory.users.get(user.lower()) or self._by_name(home, user)
            account = self._deleted(home, user) if account is None else account
            directory.users.pop(account.id, None)
            directory.deleted.pop(account.id, None)
            directory.purged.add(account.id)
            directory.log.user(account.id)
            for group in directory.groups.values():
                if group.members.pop(account.id, None) is not None:
                    directory.log.member(group.id, account.id, "user", is_added=False)
        return account.id

    def set_sign_in(self, tenant: str, user: str, activity: Mapping[str, str] | None) -> None:
        """Set a user's signInActivity; None for never."""
        _, account = self._user(tenant, user)
        account.sign_in = dict(activity) if activity is not None else None

    def set_methods(self, tenant: str, user: str, methods: list[str]) -> None:
        """Set the MFA methods a user has registered."""
        _, account = self._user(tenant, user)
        account.methods = tuple(methods)

    # Groups

    def create_group(
        self, tenant: str, name: str, members: list[str] | None = None, props: Mapping[str, Any] | None = None
    ) -> str:
        """Add a security group (or what ``props`` make of it) with members, users or groups. Returns the id."""
        home = self.tenant(tenant)
        _check_settable(props or {}, self._groups)
        plain: Props = {
            "displayName": name,
            "groupTypes": [],
            "mailEnabled": False,
            "securityEnabled": True,
            "createdDateTime": iso(utc_now()),
        }
        with home.lock:
            group = Group(new_id(self._rng), {**plain, **(props or {})})
            for member in members or ():
                key, kind = self._member(home, member)
                group.members[key] = kind
            home.directory.groups[group.id] = group
            home.directory.log.group(group.id)
        return group.id

    def patch_group(self, tenant: str, group: str, props: Mapping[str, Any]) -> None:
        """Set properties of a group."""
        home, record = self._group(tenant, group)
        _check_settable(props, self._groups)
        with home.lock:
            record.props.update(props)
            home.directory.log.group(record.id, props)

    def delete_group(self, tenant: str, group: str) -> None:
        """Delete a group; Microsoft 365 groups can be restored for a while, others are gone."""
        home, record = self._group(tenant, group)
        with home.lock:
            directory = home.directory
            del directory.groups[record.id]
            if "Unified" in record.props.get("groupTypes", ()):
                directory.deleted_groups[record.id] = record
            else:
                directory.purged_groups.add(record.id)
            directory.log.group(record.id)
            for other in directory.groups.values():
                if other.members.pop(record.id, None) is not None:
                    directory.log.member(other.id, record.id, "group", is_added=False)

    def add_member(self, tenant: str, group: str, member: str) -> None:
        """Put a user or a group into a group."""
        home, record = self._group(tenant, group)
        key, kind = self._member(home, member)
        with home.lock:
            if key not in record.members:
                record.members[key] = kind
                home.directory.log.member(record.id, key, kind, is_added=True)

    def remove_member(self, tenant: str, group: str, member: str) -> None:
        """Take a user or a group out of a group."""
        home, record = self._group(tenant, group)
        key, kind = self._member(home, member)
        with home.lock:
            if record.members.pop(key, None) is not None:
                home.directory.log.member(record.id, key, kind, is_added=False)

    # Devices

    def set_device(self, tenant: str, props: Mapping[str, Any], device_id: str | None = None) -> str:
        """Change an Intune device, or add one when ``device_id`` names none. Returns the id."""
        home = self.tenant(tenant)
        with home.lock:
            devices = home.directory.managed_devices
            key = (device_id or new_id(self._rng)).lower()
            plain: Props = {
                "id": key,
                "deviceName": "NEW-DEVICE",
                "userId": "",
                "userPrincipalName": "",
                "emailAddress": "",
                "azureADDeviceId": new_id(self._rng),
                "serialNumber": "",
                "operatingSystem": "Windows",
                "wiFiMacAddress": None,
                "ethernetMacAddress": None,
                "lastSyncDateTime": iso(utc_now()),
                "enrolledDateTime": iso(utc_now()),
                "managedDeviceOwnerType": "company",
                "complianceState": "compliant",
            }
            devices[key] = {**devices.get(key, plain), **props, "id": key}
        return key

    def delete_device(self, tenant: str, device_id: str) -> None:
        """Remove an Intune device."""
        if self.tenant(tenant).directory.managed_devices.pop(device_id.lower(), None) is None:
            raise BadChange(f"There is no device {device_id}.")

    # Consent, credentials, licenses

    def grant_consent(self, tenant: str, roles: list[str] | None = None) -> None:
        """Create or renew the service principal, with all configured roles or the given ones."""
        home = self.tenant(tenant)
        home.principal = Principal(set(roles) if roles is not None else self.world.consented_roles(home))
        home.was_consented = True

    def withdraw_consent(self, tenant: str) -> None:
        """Delete the service principal: no new tokens, and old ones are refused."""
        self.tenant(tenant).principal = None

    def set_app_enabled(self, tenant: str, is_enabled: bool) -> None:
        """Enable or disable the app in a tenant; takes effect on new tokens, so old ones run out now."""
        self._principal(tenant).is_enabled = is_enabled
        self.expire_tokens(tenant)

    def remove_role(self, tenant: str, role: str, at_once: bool = True) -> None:
        """Take a role away. With ``at_once`` the tokens that still carry it run out now."""
        self._principal(tenant).roles.discard(role)
        if at_once:
            self.expire_tokens(tenant)

    def add_role(self, tenant: str, role: str, at_once: bool = True) -> None:
        """Grant one more role."""
        self._principal(tenant).roles.add(role)
        if at_once:
            self.expire_tokens(tenant)

    def expire_tokens(self, tenant: str) -> None:
        """Let every access token of a tenant run out now."""
        self.tenant(tenant).not_before = utc_now()

    def expire_delta_tokens(self, tenant: str) -> None:
        """Let every delta link of a tenant expire."""
        self.tenant(tenant).delta_epoch += 1

    def replace_secret(self, value: str | None = None) -> str:
        """Put a new client secret in the place of all others. Returns it."""
        secret = value or f"New8Q~{new_id(self._rng).replace('-', '')}xy"
        self.world.app.secrets = [Secret(new_id(self._rng), secret, utc_now() + timedelta(days=180))]
        return secret

    def set_secret_expiry(self, days: float) -> None:
        """Let the client secrets expire in so many days; negative: expired already."""
        for secret in self.world.app.secrets:
            secret.expires_at = utc_now() + timedelta(days=days)

    def set_redirect_uris(self, redirect_uris: list[str] | None) -> None:
        """Register exactly these redirect URIs; None goes back to accepting any https or local one."""
        self.world.app.redirect_uris = redirect_uris

    def set_tenant(
        self,
        tenant: str,
        name: str | None = None,
        tenant_type: str | None = None,
        premium: bool | str | None = None,
        intune: bool | str | None = None,
    ) -> None:
        """Change a tenant's name, type ("AAD", "AAD B2C") or licenses ("as_subscribed" undoes an override)."""
        home = self.tenant(tenant)
        if name is not None:
            home.name = name
        if tenant_type is not None:
            home.tenant_type = tenant_type
        if premium is not None:
            home.premium_override = premium if isinstance(premium, bool) else None
        if intune is not None:
            home.intune_override = intune if isinstance(intune, bool) else None


def _check_settable(props: Mapping[str, Any], schema: Schema) -> None:
    for name in props:
        if name not in schema.properties or name in {"id", "signInActivity"}:
            raise BadChange(f"'{name}' is not a property that can be set on a {schema.name}.")
