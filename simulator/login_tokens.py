"""The tokens of somebody who signed in, and the code that they are handed out for."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from simulator.messages import utc_now
from simulator.objects import User
from simulator.tenant import Tenant
from simulator.tokens import Issued, TokenBook, base64url, sign


@dataclass(slots=True)
class Code:
    """An authorization code, good once within ten minutes."""

    tenant_id: str
    user_id: str
    redirect_uri: str
    challenge: str
    nonce: str
    scope: str
    expires_at: datetime
    is_used: bool = False


def signed_in(
    tokens: TokenBook, client_id: str, base: str, tenant: Tenant, user: User, code: Code
) -> dict[str, Any]:
    """What somebody who signed in to the app gets at ``base``: an id_token, and an access token for themselves."""
    now = utc_now()
    issued_at, upn = int(now.timestamp()), user.props["userPrincipalName"]
    subject = base64url(hashlib.sha256(f"{user.id}/{client_id}".encode()).digest())
    id_token = sign(
        {
            "aud": client_id,
            "iss": f"{base}/{tenant.id}/v2.0",
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + 3600,
            "name": user.props.get("displayName", ""),
            "nonce": code.nonce,
            "oid": user.id,
            "preferred_username": upn,
            "sub": subject,
            "tid": tenant.id,
            "uti": secrets.token_urlsafe(16),
            "ver": "2.0",
        }
    )
    expires_at = now + timedelta(seconds=3600)
    issued = Issued(tenant.id, client_id, base, frozenset(), now, expires_at)
    info = orjson.dumps({"uid": user.id, "utid": tenant.id})
    return {
        "token_type": "Bearer",
        "scope": code.scope,
        "expires_in": 3599,
        "ext_expires_in": 3599,
        "access_token": tokens.issue(issued, idtyp="user", oid=user.id, scp=code.scope),
        "id_token": id_token,
        "client_info": base64.urlsafe_b64encode(info).rstrip(b"=").decode(),
    }
