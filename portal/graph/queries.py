"""Every path and ``$select`` of the product, in one place, so that what is read can be compared with what is used."""

from __future__ import annotations

from urllib.parse import quote

# Exactly what ``engine.normalize`` reads: delta reports changes of selected properties only (docs/microsoft-graph.md, 3),
# so a longer list means more traffic, and a shorter one changes that are never seen. A change here makes every stored
# token void.
USER_SELECT = (
    "id,userPrincipalName,displayName,givenName,surname,mail,otherMails,proxyAddresses,businessPhones,mobilePhone,"
    "streetAddress,city,state,postalCode,country,department,officeLocation,jobTitle,userType,accountEnabled,"
    "createdDateTime,assignedLicenses,onPremisesImmutableId"
)
USERS_DELTA = f"/users/delta?$select={USER_SELECT}"
USERS = f"/users?$top=999&$select={USER_SELECT}"
USER_COUNT = "/users/$count"
USER_COUNT_IN_LIST = (
    "/users?$top=1&$count=true&$select=id"  # the same number where the path above is not offered
)
ORGANIZATION = "/organization?$select=id,displayName,verifiedDomains,tenantType"
DOMAINS = "/domains?$select=id,isVerified,isDefault,isInitial"
AGENTS = "/users/microsoft.graph.agentUser?$select=id&$top=999"
DELETED_USERS = "/directory/deletedItems/microsoft.graph.user?$select=id,deletedDateTime&$top=999"
GROUPS = "/groups?$top=999&$select=id,displayName,mail,mailEnabled,securityEnabled,groupTypes,membershipRule,visibility"
GROUPS_DELTA = "/groups/delta?$select=displayName,members"
SKUS = "/subscribedSkus?$select=skuId,skuPartNumber,capabilityStatus,consumedUnits,prepaidUnits,appliesTo,servicePlans"
SIGN_INS = "/users?$select=id,signInActivity&$top=500"  # 500 is the most with this property
SIGNED_IN_SINCE = (
    "&$filter=signInActivity/lastSignInDateTime ge {:%Y-%m-%dT%H:%M:%SZ}"  # alone only, the other dates not
)
REGISTRATIONS = "/reports/authenticationMethods/userRegistrationDetails?$top=999"
REGISTRATIONS_BARE = "/reports/authenticationMethods/userRegistrationDetails"
DEVICES = "/deviceManagement/managedDevices?$select=id,deviceName,userId,wiFiMacAddress,lastSyncDateTime"
CONTRACTS = "/contracts"
PARTNER_CUSTOMERS = "/tenantRelationships/delegatedAdminCustomers?$top=300"
PARTNER_RELATIONSHIPS = "/tenantRelationships/delegatedAdminRelationships"
CONSISTENT = {"ConsistencyLevel": "eventual"}


def members(group_id: str) -> str:
    """All levels, flattened, all types mixed: filtered in code, not by an eventual index (docs/microsoft-graph.md, 4.2)."""
    return f"/groups/{quote(group_id, safe='')}/transitiveMembers?$select=id&$top=999"


def device_macs(device_id: str) -> str:
    """The Ethernet address comes with a single device only."""
    return f"/deviceManagement/managedDevices/{quote(device_id, safe='')}?$select=id,ethernetMacAddress,wiFiMacAddress"
