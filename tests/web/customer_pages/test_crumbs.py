"""Wherever a page lies below an Organization or a Tenant, its breadcrumb leads the whole way back."""

import re

import pytest

from portal.extensions import db
from portal.models import Organization


@pytest.mark.parametrize(
    ("path", "parents"),
    [
        (
            "/organizations/{organization}/end-users/new",
            ["Organizations", "Harborview Foundation", "End Users"],
        ),
        (
            "/organizations/{organization}/end-users/import",
            ["Organizations", "Harborview Foundation", "End Users"],
        ),
        ("/organizations/{organization}/assets/import", ["Organizations", "Harborview Foundation", "Assets"]),
        ("/organizations/{organization}/conflicts", ["Organizations", "Harborview Foundation"]),
        ("/organizations/{organization}/user-sync", ["Microsoft Tenants", "Harborview Foundation"]),
        ("/organizations/{organization}/user-sync/disable", ["Microsoft Tenants", "Harborview Foundation"]),
        ("/tenants/{tenant}/map", ["Microsoft Tenants", "Harborview Foundation"]),
        ("/tenants/{tenant}/unmap", ["Microsoft Tenants", "Harborview Foundation"]),
        ("/end-users/{person}", ["Organizations", "Harborview Foundation", "End Users"]),
        ("/end-users/{person}/why", ["Organizations", "End Users", "Ada Lovelace"]),
        ("/end-users/{person}/delete", ["Organizations", "End Users", "Ada Lovelace"]),
        ("/end-users/{person}/unlink", ["Organizations", "End Users", "Ada Lovelace"]),
        ("/settings/microsoft/remove", ["Settings", "Microsoft connection"]),
        ("/sync-runs/{run}/undo", ["Sync activity", "Initial sync of Harborview Foundation"]),
    ],
)
def test_P2_breadcrumbs_lead_the_whole_way_back(app, client_as, ids, path, parents):
    with app.app_context():
        tenant = db.session.get(Organization, ids["organization"]).tenant_id
    page = client_as().get(path.format(tenant=tenant, **ids)).get_data(as_text=True)
    crumbs = re.findall(r'breadcrumb-item"><a [^>]*>(?:<bdi>)?([^<]+)', page)
    assert crumbs == parents
