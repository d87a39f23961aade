"""E-mail addresses at the doors: what somebody types, sends or imports. What Microsoft says is judged by M1 instead."""

from __future__ import annotations

import re
from functools import lru_cache

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from portal.text import visible

NO_ADDRESS = "This is not an email address."
SHAPE = f"{NO_ADDRESS} Enter one such as name@example.com."
# The library's own switch for portals whose people have addresses in corp.local, rollcall.test or localhost.
SPECIAL_USE_DOMAIN_NAMES.clear()
_MAX_SHOWN = 200  # characters of a reason: it may list every letter that is wrong
# Nearly every address: a subset of what the library accepts, except for the domain, which it is asked about once.
_PLAIN = re.compile(r"([A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*)@([A-Za-z0-9.-]+)")
_MAX_PLAIN_LOCAL, _MAX_PLAIN = 64, 254


def problem(address: str) -> str:
    """Why ``address`` is none, in a sentence or two; "" for a good one. Letters of any script are good; nothing is looked up.

    Domains that no public rule knows (corp.local, rollcall.test) are good: portals are hosted where these are used.
    """
    plain = _PLAIN.fullmatch(address)
    if (
        plain is not None
        and len(address) <= _MAX_PLAIN
        and len(plain[1]) <= _MAX_PLAIN_LOCAL
        and _is_good_domain(plain[2])
    ):
        return ""
    if "@" not in address:
        return SHAPE
    if address.count("@") > 1:
        return f"{NO_ADDRESS} Enter one address with one @."
    return _judged(address)


@lru_cache(maxsize=1024)  # few domains, many people
def _is_good_domain(domain: str) -> bool:
    """True for an ASCII domain that is good behind any short plain local part."""
    return "--" not in domain and not _judged(f"a@{domain}")


def _judged(address: str) -> str:
    """The library's word on an address with one @, and ours on what it leaves open."""
    try:
        checked = validate_email(
            address,
            allow_smtputf8=True,
            allow_quoted_local=False,
            check_deliverability=False,
            globally_deliverable=False,
            strict=True,  # the length of the part before the @
        )
    except EmailNotValidError as error:
        reason = str(error).replace("@-sign", "@").replace("period", "dot")
        reason = reason if len(reason) <= _MAX_SHOWN else f"{reason[:_MAX_SHOWN].rstrip()} …"
        return f"{NO_ADDRESS.removesuffix('.')}: {reason[:1].lower()}{reason[1:]}"
    if "." not in checked.ascii_domain and checked.ascii_domain != "localhost":
        return f"{NO_ADDRESS.removesuffix('.')}: the part after the @ has no dot. Enter one such as name@example.com."
    return ""


def tidy(address: str) -> str:
    """An address as it is stored: what nobody can see, and the blanks around it, are left out."""
    return visible(address).strip()
