"""What the login service says of itself."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

SHARED = ("organizations", "common", "consumers")


def instances(base: str) -> dict[str, Any]:
    """The cloud that an authority belongs to: this one."""
    host = urlsplit(base).netloc
    return {
        "tenant_discovery_endpoint": f"{base}/common/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }


def configuration(base: str, key: str) -> dict[str, Any]:
    """OpenID Connect's discovery document of a tenant, by id, or of one of ``SHARED``."""
    issuer = "{tenantid}" if key in SHARED else key
    return {
        "token_endpoint": f"{base}/{key}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": [
            "client_secret_post",
            "private_key_jwt",
            "client_secret_basic",
        ],
        "jwks_uri": f"{base}/{key}/discovery/v2.0/keys",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": f"{base}/{issuer}/v2.0",
        "authorization_endpoint": f"{base}/{key}/oauth2/v2.0/authorize",
        "end_session_endpoint": f"{base}/{key}/oauth2/v2.0/logout",
        "claims_supported": [
            "sub",
            "iss",
            "aud",
            "exp",
            "iat",
            "nonce",
            "preferred_username",
            "name",
            "tid",
        ],
        "tenant_region_scope": "EU",
        "cloud_instance_name": urlsplit(base).netloc,
        "msgraph_host": urlsplit(base).netloc,
    }
