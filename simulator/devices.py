"""Fills one tenant with Entra devices and Intune devices, MAC quirks included (docs/microsoft-graph.md, 8)."""

from __future__ import annotations

from typing import Any

from simulator.messages import iso
from simulator.objects import Props, User, new_id
from simulator.people import Population

DOCK_MAC = "8C04BA77D0C4"
"""The Ethernet MAC of a dock that several people's computers report (W5)."""

NEVER = "0001-01-01T00:00:00Z"
_MODELS = (
    ("Dell Inc.", "Latitude 5540", "Windows", "10.0.22631.4317"),
    ("LENOVO", "21HDCTO1WW", "Windows", "10.0.26100.2161"),
    ("Apple", "MacBook Air", "macOS", "14.6.1"),
    ("HP", "EliteBook 840", "Windows", "10.0.22631.4317"),
)
_PHONES = (("Apple", "iPhone 14", "iOS", "17.6"), ("samsung", "SM-A546B", "Android", "14.0"))
_VENDORS = ("A87EEA", "F4A475", "3C5282", "E8D8D1", "00155D", "B0A7B9")


class _Devices:
    """Adds devices to one population."""

    def __init__(self, population: Population) -> None:
        self.population = population
        self.directory = population.directory
        self.rng = population.rng
        handle = population.tenant.company.handle
        self.prefix = "".join(letter for letter in handle.upper() if letter.isalpha())[:2]

    def mac(self) -> str:
        """A vendor-given MAC as Intune writes it."""
        return self.rng.choice(_VENDORS) + f"{self.rng.getrandbits(24):06X}"

    def serial(self) -> str:
        """A serial number."""
        return f"5CD{self.rng.getrandbits(28):07X}"

    def add(self, user: User | None, model: tuple[str, str, str, str], **changes: Any) -> Props:
        """Add one device, known to Entra and to Intune; returns the Intune record."""
        number = len(self.directory.managed_devices) + 1
        manufacturer, model_name, system, version = model
        device_id = new_id(self.rng)
        is_phone = system in {"iOS", "Android"}
        name = f"{self.prefix}-{'PH' if is_phone else 'LT'}-{number:03d}"
        last_seen = self.population.recent[number % len(self.population.recent)]
        record: Props = {
            "id": new_id(self.rng),
            "deviceName": name,
            "userId": user.id if user else "",
            "userPrincipalName": user.props["userPrincipalName"] if user else "",
            "userDisplayName": user.props["displayName"] if user else "",
            "emailAddress": (user.props.get("mail") or "") if user else "",
            "azureADDeviceId": device_id,
            "serialNumber": self.serial(),
            "manufacturer": manufacturer,
            "model": model_name,
            "operatingSystem": system,
            "osVersion": version,
            "wiFiMacAddress": self.mac(),
            "ethernetMacAddress": None if is_phone else self.mac(),
            "lastSyncDateTime": last_seen,
            "enrolledDateTime": self.population.created[number % len(self.population.created)],
            "managedDeviceOwnerType": "company",
            "complianceState": "compliant" if number % 7 else "noncompliant",
            "managementAgent": "mdm",
        }
        record.update(changes)
        self.directory.managed_devices[record["id"]] = record
        entra: Props = {
            "id": new_id(self.rng),
            "deviceId": device_id,
            "displayName": name,
            "operatingSystem": system,
            "operatingSystemVersion": version,
            "trustType": ("AzureAd", "ServerAd", "Workplace")[number % 3],
            "accountEnabled": True,
            "isManaged": True,
            "isCompliant": record["complianceState"] == "compliant",
            "manufacturer": manufacturer,
            "model": model_name,
            "approximateLastSignInDateTime": last_seen,
            "registrationDateTime": record["enrolledDateTime"],
            "physicalIds": [f"[USER-HWID]:{device_id}"],
        }
        self.directory.devices[entra["id"]] = entra
        return record


def add_devices(population: Population) -> None:
    """Computers for six people in ten, some phones, and one device for each oddity a MAC can have."""
    devices = _Devices(population)
    people = [
        user
        for user in population.directory.users.values()
        if user.props.get("accountEnabled") and user.props.get("assignedLicenses")
    ]
    chance = population.rng.random
    for user in people:
        if chance() < 0.6:
            devices.add(user, _MODELS[int(chance() * len(_MODELS))])
        if chance() < 0.12:
            devices.add(user, _PHONES[int(chance() * len(_PHONES))])
    if not people or not population.tenant.oddities:
        return
    somebody = people[-1]
    devices.add(None, _MODELS[0], deviceName=f"{devices.prefix}-KIOSK-1")
    for wifi in ("000000000000", "FFFFFFFFFFFF", "020000000000", "", None, "not-a-mac", "01005E0000FB"):
        devices.add(somebody, _MODELS[1], wiFiMacAddress=wifi, ethernetMacAddress=None)
    devices.add(somebody, _PHONES[0], wiFiMacAddress=f"DA{population.rng.getrandbits(40):010X}")
    devices.add(somebody, _MODELS[2], wiFiMacAddress="a8:7e:ea:bc:6a:c9")
    devices.add(somebody, _MODELS[3], lastSyncDateTime=NEVER, enrolledDateTime=NEVER)
    devices.add(
        somebody, _MODELS[0], userPrincipalName=f"renamed@{population.tenant.default_domain}", emailAddress=""
    )
    for user in people[:3]:
        devices.add(user, _MODELS[0], ethernetMacAddress=DOCK_MAC)
    personal = devices.add(
        somebody, _PHONES[1], managedDeviceOwnerType="personal", complianceState="inGracePeriod"
    )
    personal["lastSyncDateTime"] = iso(population.now)
