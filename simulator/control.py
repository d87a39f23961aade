"""A client of the simulator's control surface, for tests and the demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import requests

Record = dict[str, Any]


class ControlError(Exception):
    """A command that was refused; the text is the simulator's sentence."""


class ControlClient:
    """Switches faults and changes the simulated world. Tenants by id or domain, users by id or sign-in name."""

    def __init__(self, base_url: str, token: str, ca_file: str) -> None:
        self._base = base_url.rstrip("/")
        self._session = requests.Session()
        # The environment's CA bundle must not win over the simulator's own.
        self._session.trust_env = False
        self._session.verify = ca_file
        self._session.headers["X-Control-Token"] = token

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def call(self, command: str, **arguments: Any) -> Any:
        """Send any command. Raises ControlError with the reason when it is refused."""
        answer = self._session.post(f"{self._base}/_control/{command}", json=arguments, timeout=60)
        document = answer.json()
        if answer.status_code != 200:
            raise ControlError(document["error"])
        return document["result"]

    # Faults

    def fault(
        self,
        kind: str,
        *,
        tenant: str | None = None,
        method: str | None = None,
        path: str | None = None,
        page: int | None = None,
        nth: int = 1,
        times: int | None = 1,
        **options: Any,
    ) -> int:
        """Switch a fault on; kinds and options are in docs/simulator.md. Returns its number."""
        number = self.call(
            "fault",
            kind=kind,
            tenant=tenant,
            method=method,
            path=path,
            page=page,
            nth=nth,
            times=times,
            options=options,
        )
        return int(number)

    def remove_fault(self, fault_id: int) -> bool:
        """Switch one fault off; False when it was not on."""
        return bool(self.call("remove_fault", fault_id=fault_id))

    def clear_faults(self) -> None:
        """Switch all faults off."""
        self.call("clear_faults")

    def faults(self) -> list[Record]:
        """What is on, with how often each struck (``applied``)."""
        return list(self.call("faults"))

    # Traffic and limits

    def log(
        self, path: str | None = None, tenant: str | None = None, status: int | None = None
    ) -> list[Record]:
        """The requests so far: at, method, path, query, status, tenant, page, is_batched, retry_after, headers."""
        return list(self.call("log", path=path, tenant=tenant, status=status))

    def clear_log(self) -> None:
        """Forget the requests so far."""
        self.call("clear_log")

    def throttle(
        self, *, scale: float | None = None, sign_ins: float | None = None, is_on: bool | None = None
    ) -> None:
        """Scale the resource-unit limits, set the sign-in requests per minute, or switch throttling off."""
        self.call("throttle", scale=scale, sign_ins=sign_ins, is_on=is_on)

    def expire_page_tokens(self) -> None:
        """Every outstanding nextLink is refused from now on."""
        self.call("expire_page_tokens")

    def expire_delta_tokens(self, tenant: str) -> None:
        """Every delta link of a tenant answers 410 from now on."""
        self.call("expire_delta_tokens", tenant=tenant)

    def expire_tokens(self, tenant: str) -> None:
        """Every access token of a tenant is refused from now on."""
        self.call("expire_tokens", tenant=tenant)

    def delta_page_size(self, size: int) -> None:
        """How many users a delta page holds."""
        self.call("delta_page_size", size=size)

    def reset(self) -> None:
        """The world as it was at the start, no faults, limits as Microsoft's, an empty log."""
        self.call("reset")

    # What is there

    def state(self) -> Record:
        """Ids, names, sizes and consent of every tenant."""
        return dict(self.call("state"))

    def users(self, tenant: str, *, deleted: bool = False) -> list[Record]:
        """Every user as set, or the soft-deleted ones."""
        return list(self.call("users", tenant=tenant, deleted=deleted))

    def groups(self, tenant: str) -> list[Record]:
        """Every group with its direct members' ids."""
        return list(self.call("groups", tenant=tenant))

    def devices(self, tenant: str) -> list[Record]:
        """Every Intune device with its true Ethernet MAC."""
        return list(self.call("devices", tenant=tenant))

    # People

    def patch_user(self, tenant: str, user: str, **props: Any) -> str:
        """Set properties of a user; None clears one. Returns the id."""
        return str(self.call("patch_user", tenant=tenant, user=user, props=props))

    def disable_user(self, tenant: str, user: str) -> str:
        """Block a user's sign-in. Returns the id."""
        return self.patch_user(tenant, user, accountEnabled=False)

    def enable_user(self, tenant: str, user: str) -> str:
        """Unblock a user's sign-in. Returns the id."""
        return self.patch_user(tenant, user, accountEnabled=True)

    def create_user(self, tenant: str, *, user_id: str | None = None, **props: Any) -> str:
        """Add a user; displayName and userPrincipalName are needed. Returns the id."""
        return str(self.call("create_user", tenant=tenant, props=props, user_id=user_id))

    def delete_user(self, tenant: str, user: str) -> str:
        """Soft-delete a user. Returns the id."""
        return str(self.call("delete_user", tenant=tenant, user=user))

    def restore_user(self, tenant: str, user: str) -> str:
        """Bring a soft-deleted user back. Returns the id."""
        return str(self.call("restore_user", tenant=tenant, user=user))

    def purge_user(self, tenant: str, user: str) -> str:
        """Delete a user for good. Returns the id."""
        return str(self.call("purge_user", tenant=tenant, user=user))

    def set_agent(self, tenant: str, user: str, *, is_agent: bool = True) -> None:
        """Say of a user whether it is an AI agent."""
        self.call("set_agent", tenant=tenant, user=user, is_agent=is_agent)

    def set_sign_in(self, tenant: str, user: str, activity: Mapping[str, str] | None) -> None:
        """Set a user's signInActivity; None for never."""
        self.call(
            "set_sign_in", tenant=tenant, user=user, activity=dict(activity) if activity is not None else None
        )

    def set_methods(self, tenant: str, user: str, methods: Sequence[str]) -> None:
        """Set the MFA methods a user has registered."""
        self.call("set_methods", tenant=tenant, user=user, methods=list(methods))

    # Groups and devices

    def create_group(self, tenant: str, name: str, members: Sequence[str] = (), **props: Any) -> str:
        """Add a group with members, users or groups. Returns the id."""
        return str(self.call("create_group", tenant=tenant, name=name, members=list(members), props=props))

    def patch_group(self, tenant: str, group: str, **props: Any) -> None:
        """Set properties of a group, named by id or unique name."""
        self.call("patch_group", tenant=tenant, group=group, props=props)

    def delete_group(self, tenant: str, group: str) -> None:
        """Delete a group."""
        self.call("delete_group", tenant=tenant, group=group)

    def add_member(self, tenant: str, group: str, member: str) -> None:
        """Put a user or a group into a group."""
        self.call("add_member", tenant=tenant, group=group, member=member)

    def remove_member(self, tenant: str, group: str, member: str) -> None:
        """Take a user or a group out of a group."""
        self.call("remove_member", tenant=tenant, group=group, member=member)

    def set_device(self, tenant: str, device_id: str | None = None, **props: Any) -> str:
        """Change an Intune device, or add one. Returns the id."""
        return str(self.call("set_device", tenant=tenant, device_id=device_id, props=props))

    def delete_device(self, tenant: str, device_id: str) -> None:
        """Remove an Intune device."""
        self.call("delete_device", tenant=tenant, device_id=device_id)

    # Consent, credentials, licenses

    def grant_consent(self, tenant: str, roles: Sequence[str] | None = None) -> None:
        """Consent as an administrator would, with all configured roles or the given ones."""
        self.call("grant_consent", tenant=tenant, roles=None if roles is None else list(roles))

    def withdraw_consent(self, tenant: str) -> None:
        """Delete the app's service principal in a tenant."""
        self.call("withdraw_consent", tenant=tenant)

    def set_app_enabled(self, tenant: str, is_enabled: bool) -> None:
        """Enable or disable the app in a tenant."""
        self.call("set_app_enabled", tenant=tenant, is_enabled=is_enabled)

    def remove_role(self, tenant: str, role: str, *, at_once: bool = True) -> None:
        """Take a role away; with ``at_once`` the tokens that still carry it run out now."""
        self.call("remove_role", tenant=tenant, role=role, at_once=at_once)

    def add_role(self, tenant: str, role: str, *, at_once: bool = True) -> None:
        """Grant one more role."""
        self.call("add_role", tenant=tenant, role=role, at_once=at_once)

    def replace_secret(self, value: str | None = None) -> str:
        """Put a new client secret in the place of all others. Returns it."""
        return str(self.call("replace_secret", value=value))

    def set_secret_expiry(self, days: float) -> None:
        """Let the client secret expire in so many days; negative: expired already."""
        self.call("set_secret_expiry", days=days)

    def set_redirect_uris(self, redirect_uris: Sequence[str] | None) -> None:
        """Register exactly these redirect URIs; None accepts any https or local one."""
        self.call("set_redirect_uris", redirect_uris=None if redirect_uris is None else list(redirect_uris))

    def set_tenant(
        self,
        tenant: str,
        *,
        name: str | None = None,
        tenant_type: str | None = None,
        premium: bool | str | None = None,
        intune: bool | str | None = None,
    ) -> None:
        """Change a tenant's name, type or licenses; "as_subscribed" undoes a license override."""
        self.call(
            "set_tenant", tenant=tenant, name=name, tenant_type=tenant_type, premium=premium, intune=intune
        )
