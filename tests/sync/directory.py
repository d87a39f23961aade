"""A scripted Microsoft: what each read returns, and where it fails. Implements ``DirectorySource`` without HTTP."""

from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace

from portal.errors import SourceGone, SourceRejected, SourceTransient

TENANT = "6b1f0f5e-1111-4c2a-9d1e-0a1b2c3d4e5f"


def account(name, **values):
    found = {
        "id": name,
        "displayName": name.title(),
        "mail": f"{name}@x.example",
        "userPrincipalName": f"{name}@x.example",
        "userType": "Member",
        "accountEnabled": True,
        "department": "IT",
        "assignedLicenses": [],
    }
    found.update(values)
    return found


@dataclass
class Directory:
    """users: what Microsoft has. log: every change since, for delta. fail_page: the page at which reading people breaks."""

    users: dict = field(default_factory=dict)
    groups_: dict = field(default_factory=dict)
    members: dict = field(default_factory=dict)
    skus: list = field(default_factory=list)
    devices: list = field(default_factory=list)
    registrations: list = field(default_factory=list)
    sign_in_dates: dict = field(default_factory=dict)
    log: list = field(default_factory=list)
    group_log: list = field(default_factory=list)
    deleted: set = field(default_factory=set)
    page_size: int = 7
    fail_page: int | None = None
    counted: int | None = None
    tokens_expired: bool = False
    refuses_delta: int | None = None
    refuses_sign_in_filter: bool = False
    member_error: Exception | None = None
    group_errors: dict = field(default_factory=dict)
    directory_id: str = TENANT
    registration: str = "one app"
    agent_ids: set = field(default_factory=set)
    tells_agents: bool = True
    reads: list = field(default_factory=list)
    meter: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(requests=0, throttled_seconds=0.0))

    # -- changing the world --------------------------------------------------------------------------------------

    def put(self, *accounts):
        for one in accounts:
            self.users[one["id"]] = one
            self.deleted.discard(one["id"])
            self.log.append(one)

    def change(self, name, **values):
        self.put({**self.users[name], **values})

    def drop(self, name, reason="changed"):
        self.users.pop(name)
        if reason == "changed":
            self.deleted.add(name)
        self.log.append({"id": name, "@removed": {"reason": reason}})

    def group(self, group_id, *members):
        self.groups_[group_id] = {"id": group_id, "displayName": group_id}
        self.members[group_id] = set(members)
        self.group_log.append({"id": group_id})

    # -- DirectorySource -----------------------------------------------------------------------------------------

    def ask_ahead(self, links):
        pass

    def organization(self):
        return {
            "id": self.directory_id,
            "displayName": "Fabrikam",
            "verifiedDomains": [{"name": "x.example", "isDefault": True}],
        }

    def domains(self):
        return []

    def user_count(self):
        return len(self.users) if self.counted is None else self.counted

    def users_delta(self, link):
        self.reads.append("full" if link is None else "delta")
        if self.refuses_delta:
            raise SourceRejected("no delta here", status=self.refuses_delta)
        if link is not None and self.tokens_expired:
            self.tokens_expired = False
            raise SourceGone("expired")
        items = list(self.users.values()) if link is None else self.log[int(link) :]
        yield from self._pages(items, str(len(self.log)))

    def users_full(self):
        yield from self._pages(list(self.users.values()), "")

    def _pages(self, items, last):
        cut = [items[i : i + self.page_size] for i in range(0, len(items), self.page_size)] or [[]]
        for number, page in enumerate(cut, start=1):
            self.meter.requests += 1
            if number == self.fail_page:
                raise SourceTransient("Microsoft Graph keeps answering with an error (500).", code="500")
            yield SimpleNamespace(
                items=[dict(item) for item in page], delta_link=last if number == len(cut) else None
            )

    def agents(self):
        if not self.tells_agents:
            raise SourceRejected("no such type", status=400)
        return frozenset(self.agent_ids)

    def deleted_users(self):
        return [{"id": name} for name in self.deleted]

    def groups(self):
        return list(self.groups_.values())

    def transitive_members(self, group_ids):
        self.reads.append(f"members:{','.join(sorted(group_ids))}")
        if self.member_error is not None:
            raise self.member_error
        return {
            g: self.group_errors.get(g, frozenset(self.members[g]) if g in self.members else None)
            for g in group_ids
        }

    def groups_delta(self, link):
        start = len(self.group_log) if link == "latest" else int(link or 0)
        yield SimpleNamespace(items=self.group_log[start:], delta_link=str(len(self.group_log)))

    def subscribed_skus(self):
        return self.skus

    def sign_ins(self, since):
        self.reads.append(f"sign-ins since {since:%d %b %H:%M}" if since else "sign-ins")
        if since and self.refuses_sign_in_filter:
            raise SourceRejected("Invalid filter clause", status=400)
        asked = [
            n
            for n in self.users
            if since is None
            or datetime.fromisoformat(self.sign_in_dates.get(n, "2000-01-01T00:00:00Z")) >= since
        ]
        yield [
            {
                "id": n,
                **(
                    {"signInActivity": {"lastSignInDateTime": self.sign_in_dates[n]}}
                    if n in self.sign_in_dates
                    else {}
                ),
            }
            for n in asked
        ]

    def registration_details(self):
        yield self.registrations

    def managed_devices(self):
        yield self.devices

    def ethernet_macs(self, device_ids):
        return {d["id"]: d.get("ethernet", "") for d in self.devices if d["id"] in device_ids}
