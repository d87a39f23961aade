"""Builds the people of one tenant, from the tenant's own seed."""

from __future__ import annotations

import base64
import random
import unicodedata
import uuid
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from simulator.messages import iso
from simulator.names import FIRST_NAMES, LAST_NAMES, STREETS, Office
from simulator.objects import Directory, Props, User, new_id
from simulator.tenant import Tenant

METHODS = (
    ("mobilePhone", "microsoftAuthenticatorPush", "softwareOneTimePasscode"),
    ("microsoftAuthenticatorPush", "softwareOneTimePasscode"),
    ("mobilePhone",),
    ("fido2SecurityKey", "windowsHelloForBusiness"),
    ("passKeyDeviceBoundAuthenticator", "microsoftAuthenticatorPasswordless"),
    ("email", "securityQuestion"),
    (),
    (),
)
_ASCII = {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ı": "i", "ß": "ss"}


def ascii_name(text: str) -> str:
    """A name as it stands in an address: no accents, lower case, letters only."""
    folded = unicodedata.normalize("NFKD", "".join(_ASCII.get(letter, letter) for letter in text))
    return "".join(letter for letter in folded if letter.isascii() and letter.isalnum()).lower()


_FIRST = tuple((name, ascii_name(name)) for name in FIRST_NAMES)
_LAST = tuple((name, ascii_name(name)) for name in LAST_NAMES)


class Population:
    """Builds users of one tenant. ``rng`` is the tenant's; moments are relative to the world's start."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.rng = random.Random(tenant.seed)
        self.now: datetime = tenant.now
        self.directory = Directory()
        self.local_parts: Counter[str] = Counter()
        self.created = self.moments(30, 3200, 500)
        self.recent = self.moments(0, 25, 400)
        self.older = self.moments(20, 420, 200)
        self.license_choices = self._license_choices()

    def moments(self, first_day: float, last_day: float, count: int) -> list[str]:
        """Some moments between so many days ago, as Graph writes them."""
        return [iso(self.now - timedelta(days=self.rng.uniform(first_day, last_day))) for _ in range(count)]

    def _license_choices(self) -> list[list[dict[str, Any]]]:
        """A hundred sets of licenses, spread as the SKUs' shares say."""
        choices: list[list[dict[str, Any]]] = []
        assignable = [sku for sku in self.tenant.skus if sku.share]
        for _ in range(100):
            held = [sku for sku in assignable if self.rng.random() < sku.share]
            choices.append([{"disabledPlans": [], "skuId": sku.sku_id} for sku in held])
        return choices

    def local_part(self, first: str, last: str) -> str:
        """An address part nobody has yet."""
        local = f"{first}.{last}"
        self.local_parts[local] += 1
        return local if self.local_parts[local] == 1 else f"{local}{self.local_parts[local]}"

    def ordinary(self) -> User:
        """One more ordinary member."""
        rng, tenant = self.rng, self.tenant
        chance = rng.random
        first, first_ascii = _FIRST[int(chance() * len(_FIRST))]
        last, last_ascii = _LAST[int(chance() * len(_LAST))]
        local = self.local_part(first_ascii, last_ascii)
        domains = tenant.company.domains
        domain = domains[-1] if chance() < 0.12 else domains[0]
        offices = tenant.company.offices
        office = offices[int(chance() * chance() * len(offices))]
        departments = tenant.company.departments
        department = departments[int(chance() * len(departments))]
        title = tenant.company.titles[int(chance() * len(tenant.company.titles))]
        user = self.person(first, last, local, domain, department, office, title)
        if chance() < 0.04:
            user.props["accountEnabled"] = False
        if chance() < 0.03:
            user.props["department"] = department.upper() if chance() < 0.5 else f"{department.lower()} "
        elif chance() < 0.03:
            del user.props["department"]
        if chance() < 0.05:
            del user.props["officeLocation"]
        return user

    def person(
        self, first: str, last: str, local: str, domain: str, department: str, office: Office, title: str
    ) -> User:
        """A member with a mailbox, an address and licenses; not yet in the directory."""
        rng = self.rng
        chance = rng.random
        address = f"{local}@{domain}"
        number = int(chance() * 9000) + 1000
        object_id = new_id(rng)
        is_hybrid = chance() < 0.4
        props: Props = {
            "userPrincipalName": address,
            "displayName": f"{first} {last}",
            "givenName": first,
            "surname": last,
            "mail": address,
            "mailNickname": local,
            "proxyAddresses": [f"SMTP:{address}", f"smtp:{local}@{self.tenant.initial_domain}"],
            "userType": "Member",
            "accountEnabled": True,
            "createdDateTime": self.created[int(chance() * 500)],
            "department": department,
            "officeLocation": office.name,
            "jobTitle": title,
            "businessPhones": [f"{office.phone_prefix}{number % 1000:03d}"],
            "streetAddress": f"{STREETS[number % len(STREETS)]} {number % 97 + 1}",
            "city": office.city,
            "postalCode": office.postal_code,
            "country": office.country,
            "usageLocation": office.usage_location,
            "companyName": self.tenant.name,
            "preferredLanguage": "en-US",
            "employeeId": f"E{number}{rng.randrange(1000):03d}",
            "assignedLicenses": self.license_choices[int(chance() * 100)],
        }
        if office.state is not None:
            props["state"] = office.state
        if number % 3:
            props["mobilePhone"] = f"+31 6 5550 {number}"
        if is_hybrid:
            props["onPremisesSyncEnabled"] = True
            props["onPremisesImmutableId"] = immutable_id(rng)
            props["onPremisesSamAccountName"] = local[:20]
            props["onPremisesDomainName"] = f"corp.{self.tenant.default_domain}"
            props["onPremisesLastSyncDateTime"] = self.recent[0]
        user = User(object_id, props, purpose="user", methods=METHODS[int(chance() * len(METHODS))])
        if chance() < 0.92:
            user.sign_in = self.sign_in(self.recent if chance() < 0.85 else self.older)
        return user

    def sign_in(self, moments: list[str]) -> dict[str, str]:
        """A signInActivity document."""
        chance = self.rng.random
        interactive = moments[int(chance() * len(moments))]
        background = moments[int(chance() * len(moments))]
        activity = {
            "lastSignInDateTime": interactive,
            "lastSignInRequestId": new_id(self.rng),
            "lastNonInteractiveSignInDateTime": background,
            "lastNonInteractiveSignInRequestId": new_id(self.rng),
        }
        if chance() < 0.9:
            activity["lastSuccessfulSignInDateTime"] = max(interactive, background)
            activity["lastSuccessfulSignInRequestId"] = activity["lastSignInRequestId"]
        return activity

    def add(self, user: User) -> User:
        """Put a user into the directory."""
        self.directory.users[user.id] = user
        return user


def immutable_id(rng: random.Random) -> str:
    """An onPremisesImmutableId: the base64 of an on-premises GUID."""
    return base64.b64encode(uuid.UUID(int=rng.getrandbits(128)).bytes_le).decode()
