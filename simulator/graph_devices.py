"""Entra devices and Intune devices (docs/microsoft-graph.md, 8)."""

from __future__ import annotations

import re

import orjson

from simulator.calls import Call, not_found, route
from simulator.cursors import Cursor
from simulator.messages import GraphError, Response, json_response
from simulator.objects import Props
from simulator.odata import Schema, filled, filter_of, page_size
from simulator.paging import page_of, resume

INTUNE_ROLE = "DeviceManagementManagedDevices.Read.All"

DEVICES = Schema.of(
    "device",
    "id accountEnabled alternativeSecurityIds approximateLastSignInDateTime "
    "complianceExpirationDateTime deviceCategory deviceId deviceMetadata deviceOwnership "
    "deviceVersion displayName enrollmentProfileName enrollmentType isCompliant isManaged "
    "isManagementRestricted isRooted managementType manufacturer mdmAppId model "
    "onPremisesLastSyncDateTime onPremisesSecurityIdentifier onPremisesSyncEnabled operatingSystem "
    "operatingSystemVersion physicalIds profileType registrationDateTime systemLabels trustType",
    defaults=(
        "id accountEnabled approximateLastSignInDateTime deviceId displayName isCompliant isManaged "
        "manufacturer model onPremisesSyncEnabled operatingSystem operatingSystemVersion physicalIds "
        "registrationDateTime trustType"
    ),
)
MANAGED = Schema.of(
    "managedDevice",
    "id activationLockBypassCode androidSecurityPatchLevel azureADDeviceId azureADRegistered "
    "complianceGracePeriodExpirationDateTime complianceState deviceCategoryDisplayName "
    "deviceEnrollmentType deviceName deviceRegistrationState easActivated easDeviceId emailAddress "
    "enrolledDateTime enrollmentProfileName ethernetMacAddress freeStorageSpaceInBytes iccid imei "
    "isEncrypted isSupervised jailBroken lastSyncDateTime managedDeviceName managedDeviceOwnerType "
    "managementAgent managementCertificateExpirationDate manufacturer meid model notes "
    "operatingSystem osVersion partnerReportedThreatState phoneNumber physicalMemoryInBytes "
    "requireUserEnrollmentApproval serialNumber subscriberCarrier totalStorageSpaceInBytes udid "
    "userDisplayName userId userPrincipalName wiFiMacAddress",
    defaults=(
        "id userId deviceName managedDeviceOwnerType enrolledDateTime lastSyncDateTime "
        "operatingSystem complianceState managementAgent osVersion azureADDeviceId emailAddress "
        "userPrincipalName model manufacturer serialNumber userDisplayName wiFiMacAddress "
        "ethernetMacAddress physicalMemoryInBytes"
    ),
    default_top=1000,
    maximum=1000,
)


def _stem(call: Call) -> str:
    query = call.request.raw_query
    return f"/v1.0{call.path}?{query}&" if query else f"/v1.0{call.path}?"


@route("GET", "/devices", roles=("Device.Read.All", "Directory.Read.All"))
def list_devices(call: Call, _match: re.Match[str]) -> Response:
    """A page of Entra devices; none has a network address."""
    if cursor := resume(call):
        return page_of(call, cursor)
    size = page_size(call, DEVICES)
    selection = DEVICES.selection(call)
    devices = list(call.tenant.directory.devices.values())
    test = filter_of(call, DEVICES)

    def render(device: Props) -> Props:
        return filled(device["id"], device, selection)

    matching = [device for device in devices if test is None or test(device)]
    count = len(matching) if call.wants_count else None
    return page_of(
        call,
        Cursor(
            call.tenant.id, call.path.lower(), matching, render, "devices", size, _stem(call), count=count
        ),
    )


def check_intune(call: Call) -> None:
    """Raise what Intune answers without its role or without a license."""
    if not call.has(INTUNE_ROLE, "DeviceManagementManagedDevices.ReadWrite.All"):
        inner = {
            "_version": 3,
            "Message": "Application is not authorized to perform this operation. Application must have one of the "
            f"following scopes: {INTUNE_ROLE}, DeviceManagementManagedDevices.ReadWrite.All - Operation ID (for "
            "customer support): 00000000-0000-0000-0000-000000000000",
        }
        outer = {
            "ErrorCode": "Forbidden",
            "Message": orjson.dumps(inner).decode(),
            "Target": None,
            "Details": None,
        }
        raise GraphError(403, "Forbidden", orjson.dumps(outer).decode())
    if not call.tenant.has_intune:
        raise GraphError(400, "BadRequest", "Request not applicable to target tenant.")


@route("GET", "/deviceManagement/managedDevices", roles=(), family="intune")
def list_managed_devices(call: Call, _match: re.Match[str]) -> Response:
    """A page of Intune devices; ethernetMacAddress is null in every list."""
    check_intune(call)
    if cursor := resume(call):
        return page_of(call, cursor)
    size = page_size(call, MANAGED)
    selection = MANAGED.selection(call)
    test = filter_of(call, MANAGED)
    directory = call.tenant.directory

    def render(device_id: str) -> Props | None:
        device = directory.managed_devices.get(device_id)
        if device is None:
            return None
        row = filled(device_id, device, selection)
        if "ethernetMacAddress" in row:
            row["ethernetMacAddress"] = None
        if "physicalMemoryInBytes" in row:
            row["physicalMemoryInBytes"] = 0
        return row

    ids = [key for key, device in directory.managed_devices.items() if test is None or test(device)]
    context = "deviceManagement/managedDevices"
    return page_of(call, Cursor(call.tenant.id, call.path.lower(), ids, render, context, size, _stem(call)))


@route("GET", "/deviceManagement/managedDevices/{id}", roles=(), family="intune")
def get_managed_device(call: Call, match: re.Match[str]) -> Response:
    """One Intune device; its Ethernet MAC only when ``$select`` names it."""
    check_intune(call)
    device = call.tenant.directory.managed_devices.get(match["id"].lower())
    if device is None:
        raise GraphError(404, "ResourceNotFound", f"The device '{match['id']}' was not found.")
    row = filled(device["id"], device, MANAGED.selection(call))
    if "ethernetMacAddress" in row and "ethernetMacAddress" not in call.selected:
        row["ethernetMacAddress"] = None
    return json_response(
        {"@odata.context": f"{call.base}/v1.0/$metadata#deviceManagement/managedDevices/$entity", **row}
    )


@route("GET", "/devices/{id}", roles=("Device.Read.All", "Directory.Read.All"))
def get_device(call: Call, match: re.Match[str]) -> Response:
    """One Entra device by object id."""
    device = call.tenant.directory.devices.get(match["id"].lower())
    if device is None:
        raise not_found(match["id"])
    return json_response(filled(device["id"], device, DEVICES.selection(call)))
