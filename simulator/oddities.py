"""The accounts that break naive code: every kind (docs/microsoft-graph.md, 2.4), and hostile texts (G7)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from simulator import skus
from simulator.objects import Props, User, new_id
from simulator.people import Population

LONG_NAME = ("Wolfeschlegelsteinhausen-Bergerdorff " * 8)[:256]
HOSTILE_NAMES: tuple[tuple[str, str], ...] = (
    ("markup", "<script>alert('x')</script> & <b>Bold</b>"),
    ("rtl", "\u202eמיכל לוי\u202c محمد"),
    ("long", LONG_NAME),
    ("nul", "Nul\x00Byte\x07Bell"),
    ("emoji", "Zoë 👩🏽‍💻🎉"),
    ("formula", '=HYPERLINK("https://evil.example","Click")'),
    ("formula2", "+1+1"),
    ("formula3", "@SUM(A1:A9)"),
    ("blanks", "  Trailing Blanks  "),
    ("nbsp", "Non\u00a0Breaking\u00a0Space"),
    ("decomposed", "Jose\u0301 A\u030angstro\u0308m"),
    ("zerowidth", "Zero\u200bWidth\ufeff"),
    ("quote", 'Sinéad O\'Brien-"Quote"'),
    ("template", "{{ 7 * 7 }} ${7*7} %(x)s"),
    ("sql", "Robert'); DROP TABLE end_users;--"),
    ("newline", "Line\r\nBreak\tTab"),
)


def add_oddities(population: Population, room: int) -> None:
    """Add as many odd accounts as there is room for, the most telling first, and some soft-deleted ones."""
    for number, user in enumerate(_oddities(population)):
        if number >= room:
            break
        population.add(user)
    if room:
        _add_deleted(population, min(4, room))


def _plain(population: Population, first: str, last: str, local: str, **changes: Any) -> User:
    """A member with the given properties; a property set to ``...`` is one that was never set."""
    company = population.tenant.company
    user = population.person(
        first, last, local, company.domains[0], company.departments[0], company.offices[0], company.titles[0]
    )
    population.local_parts[local] += 1
    _change(user.props, changes)
    return user


def _change(props: Props, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if value is ...:
            props.pop(name, None)
        else:
            props[name] = value


_PERSONAL = (
    "givenName surname jobTitle department officeLocation businessPhones mobilePhone streetAddress "
    "city state postalCode country companyName employeeId onPremisesSyncEnabled onPremisesImmutableId "
    "onPremisesSamAccountName onPremisesDomainName onPremisesLastSyncDateTime preferredLanguage "
    "usageLocation"
)
_BARE: Props = dict.fromkeys(_PERSONAL.split(), ...)


def _guest(population: Population, name: str, address: str, **changes: Any) -> User:
    handle = address.replace("@", "_")
    upn = f"{handle}#EXT#@{population.tenant.initial_domain}"
    user = _plain(population, name, "Guest", handle, **_BARE)
    guest: dict[str, Any] = {
        "userPrincipalName": upn,
        "displayName": name,
        "mail": address,
        "mailNickname": f"{handle}#EXT#",
        "proxyAddresses": [f"SMTP:{address}"],
        "otherMails": [address],
        "userType": "Guest",
        "creationType": "Invitation",
        "externalUserState": "Accepted",
        "assignedLicenses": [],
    }
    _change(user.props, guest)
    _change(user.props, changes)
    user.purpose = ""
    return user


def _oddities(population: Population) -> Iterator[User]:
    yield from _guests(population)
    yield from _addresses(population)
    yield from _mailboxes_and_services(population)
    yield from _duplicates(population)
    yield from _states(population)
    yield from _hostile(population)


def _guests(population: Population) -> Iterator[User]:
    yield _guest(population, "Jo Partner", "jo@partner.example")
    yield _guest(population, "Remy Pending", "remy@northgate.example", externalUserState="PendingAcceptance")
    yield _guest(population, "External Member", "exmember@bluebird.example", userType="Member")
    yield _guest(population, "Mona Moved", "mona@old-home.example", mail="mona@new-home.example")
    yield _guest(population, "Otto Othermail", "otto@mail-only.example", mail=..., proxyAddresses=...)
    yield _guest(
        population, "Nia Nowhere", "nia@no-address.example", mail=..., proxyAddresses=..., otherMails=...
    )
    yield _plain(population, "Inga", "Internal-Guest", "inga.internal", userType="Guest")
    yield _plain(population, "Olaf", "Oldest", "olaf.oldest", userType=..., createdDateTime=...)
    yield _plain(population, "Uma", "Unknown", "uma.unknown", accountEnabled=None)


def _addresses(population: Population) -> Iterator[User]:
    domain = population.tenant.default_domain
    initial = population.tenant.initial_domain
    unverified = population.tenant.company.unverified
    yield _plain(population, "Nomi", "Nomail", "nomi.nomail", mail=..., proxyAddresses=...)
    yield _plain(
        population,
        "Pia",
        "Primary",
        "pia.upn",
        mail=...,
        proxyAddresses=[
            f"smtp:pia.alias@{domain}",
            f"SMTP:Pia.Primary@{domain}",
            f"SIP:pia@{domain}",
            "X500:/o=ExchangeLabs/cn=pia",
        ],
    )
    yield _plain(
        population,
        "Alia",
        "Alias",
        "alia.alias",
        proxyAddresses=[
            f"SMTP:alia.alias@{domain}",
            f"smtp:alia.maiden@{domain}",
            f"smtp:alia@{unverified}",
            f"smtp:alia.alias@{initial}",
        ],
    )
    yield _plain(population, "Upper", "Case", "upper.case", mail=f"UPPER.CASE@{domain.upper()}")
    yield _plain(population, "Other", "Domain", "other.domain", mail=f"other.domain@{unverified}")
    yield _plain(population, "Plus", "Sign", "plus.sign", mail=f"plus.sign+msp@{domain}")
    yield _plain(population, "Blank", "Mail", "blank.mail", mail=f"  blank.mail@{domain} ", otherMails=[""])
    yield _plain(
        population,
        "Una",
        "Initial",
        "una.initial",
        userPrincipalName=f"una.initial@{initial}",
        mail=...,
        proxyAddresses=...,
    )


def _mailboxes_and_services(population: Population) -> Iterator[User]:
    for local, name, purpose in (
        ("info", "Info", "shared"),
        ("sales", "Sales Inbox", "shared"),
        ("invoices", "Invoices", "shared"),
        ("room.oak", "Meeting Room Oak", "room"),
        ("van.1", "Delivery Van 1", "equipment"),
    ):
        user = _plain(population, name, "Mailbox", local, **_BARE)
        _change(user.props, {"displayName": name, "accountEnabled": False, "assignedLicenses": []})
        user.purpose, user.sign_in, user.methods = purpose, None, ()
        yield user
    host = f"DC{population.rng.randrange(10, 99)}"
    sync_name = f"Sync_{host}_{population.rng.getrandbits(48):012x}"
    service = {"assignedLicenses": [], "mail": ..., "proxyAddresses": ...}
    initial = population.tenant.initial_domain
    for local, name in (
        ("svc-backup", "Backup Service"),
        ("svc-scanner", "Scan to Mail"),
        (sync_name, "On-Premises Directory Synchronization Service Account"),
        ("breakglass", "Break Glass Admin"),
    ):
        user = _plain(population, name, "Service", local, **_BARE)
        _change(user.props, {**service, "displayName": name, "userPrincipalName": f"{local}@{initial}"})
        user.is_admin = local == "breakglass"
        user.purpose = ""
        yield user


def _duplicates(population: Population) -> Iterator[User]:
    domain = population.tenant.default_domain
    yield _plain(population, "Twin", "First", "twin.first", mail=f"twin@{domain}")
    yield _plain(population, "Twin", "Second", "twin.second", mail=f"Twin@{domain}")
    yield _plain(population, "Dora", "Leaver", "dora.leaver", mail=f"dora@{domain}", accountEnabled=False)
    yield _plain(population, "Dora", "Leaver", "dora.returned", mail=f"dora@{domain}")
    for local in ("same.name", "same.name.too"):
        yield _plain(population, "Sam", "Same", local)


def _states(population: Population) -> Iterator[User]:
    first = population.tenant.company.departments[2]
    yield _plain(population, "Lars", "Leaver", "lars.leaver", accountEnabled=False)
    yield _plain(population, "Una", "Unlicensed", "una.unlicensed", assignedLicenses=[])
    expired = [{"disabledPlans": [], "skuId": skus.TEAMS_EXPLORATORY.sku_id}]
    yield _plain(population, "Exa", "Expired", "exa.expired", assignedLicenses=expired)
    for number, department in enumerate((first, first.lower(), f"{first} ", f" {first.upper()}")):
        yield _plain(
            population, "Case", f"Variant{number + 1}", f"case.variant{number + 1}", department=department
        )
    yield _plain(
        population, "Blank", "Fields", "blank.fields", department="   ", officeLocation="", jobTitle=""
    )
    address = "Kade 12\r\nBuilding B\r\n2nd floor"
    yield _plain(population, "Street", "Lines", "street.lines", streetAddress=address)
    yield _plain(population, "Onprem", "Once", "onprem.once", onPremisesSyncEnabled=False)
    never = _plain(population, "Neva", "Never", "neva.never")
    never.sign_in = None
    yield never
    room = _plain(population, "Resa", "Resource", "resa.resource", isResourceAccount=True)
    yield room


def _hostile(population: Population) -> Iterator[User]:
    for local, text in HOSTILE_NAMES:
        user = _plain(population, "Hostile", local.title(), f"hostile.{local}")
        _change(user.props, {"displayName": text, "givenName": text[:64], "jobTitle": text[:128]})
        if local in {"markup", "formula", "emoji", "nbsp"}:
            _change(user.props, {"department": text[:64], "officeLocation": text})
        yield user


def _add_deleted(population: Population, count: int) -> None:
    """Soft-deleted users; the first shares its on-premises immutable id with somebody present (M2)."""
    for number in range(count):
        user = _plain(population, "Gone", f"Person{number + 1}", f"gone.person{number + 1}")
        user.deleted_at = population.now - timedelta(days=1 + 6 * number)
        if number == 0:
            again = next(
                (u for u in population.directory.users.values() if "onPremisesImmutableId" in u.props), None
            )
            if again is not None:
                user.props["onPremisesImmutableId"] = again.props["onPremisesImmutableId"]
        population.directory.deleted[user.id] = user
    population.directory.purged.add(new_id(population.rng))
