"""How often one client may come to the doors that hash a password or check a code.

Held in memory by Flask-Limiter: there is one web process, and a restart forgives nobody who is locked out, since that is in
the database (``auth.attempts``).
"""

from __future__ import annotations

import ipaddress
import logging
import math
from typing import NoReturn

from flask import request
from flask_limiter import Limiter, RequestLimit
from werkzeug.exceptions import TooManyRequests

from portal.clock import utcnow

SIGN_INS = "30 per minute"
"""An office behind one address signs in with less; guessing at many accounts, and keeping the processor busy, end here."""


def client(address: str | None) -> str:
    """An address as it goes into the log: "unknown" for what is none, which a proxy may have been told."""
    try:
        # What follows a % names an interface of this machine, in any letters that a proxy was told.
        ip = ipaddress.ip_address((address or "").strip().partition("%")[0])
    except ValueError:
        return "unknown"
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)  # one that listens at both kinds is told of IPv4 in the form of IPv6


def network(address: str | None) -> str:
    """What attempts are counted by: an IPv4 address, or the /64 network of an IPv6 address."""
    ip = client(address)
    return str(ipaddress.ip_network(f"{ip}/64", strict=False)) if ":" in ip else ip


def _network() -> str:
    return network(request.remote_addr)


def _refuse(limit: RequestLimit) -> NoReturn:
    """Raise the error that is answered with 429 and the seconds until the next attempt."""
    logging.getLogger("portal.sign_in").warning(
        "action=sign_in_throttled client=%s", client(request.remote_addr)
    )
    raise TooManyRequests(retry_after=max(1, math.ceil(limit.reset_at - utcnow().timestamp())))


limiter = Limiter(
    key_func=_network,
    storage_uri="memory://",
    strategy="moving-window",
    on_breach=_refuse,
)
sign_in_limit = limiter.shared_limit(SIGN_INS, scope="sign-in", methods=["POST"])
"""Decorates the views of those doors, below the route; what they GET is not counted."""
microsoft_limit = limiter.shared_limit(SIGN_INS, scope="microsoft")
"""The same for the way to Microsoft and back, which is made of GETs."""
