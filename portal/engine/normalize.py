"""Graph JSON → RemoteUser. The e-mail rule (M1) lives here only. Pure.

``merge`` keeps the raw selected properties over delta rounds: a property that is absent kept its value, one that is null
was cleared (docs/microsoft-graph.md, 3); in a full read absent means never set.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

from portal.engine.records import Presence, RemoteUser
from portal.text import email_key, is_blank

# Every property read below; ``graph.queries`` selects exactly these.
SELECT: tuple[str, ...] = (
    "id",
    "userPrincipalName",
    "displayName",
    "givenName",
    "surname",
    "mail",
    "otherMails",
    "proxyAddresses",
    "businessPhones",
    "mobilePhone",
    "streetAddress",
    "city",
    "state",
    "postalCode",
    "country",
    "department",
    "officeLocation",
    "jobTitle",
    "userType",
    "accountEnabled",
    "createdDateTime",
    "assignedLicenses",
    "onPremisesImmutableId",
)

_TEXTS = (  # property, characters that are kept
    ("userPrincipalName", 1024),
    ("displayName", 256),
    ("givenName", 256),
    ("surname", 256),
    ("mobilePhone", 128),
    ("city", 256),
    ("state", 256),
    ("postalCode", 64),
    ("country", 256),
    ("department", 256),
    ("officeLocation", 256),
    ("jobTitle", 256),
    ("onPremisesImmutableId", 256),
    ("userType", 64),
    ("streetAddress", 1024),  # the last: the only one of several lines
)
_SMTP = frozenset({"SMTP:", "smtp:"})
_SHORTEST_LIMIT = min(limit for _, limit in _TEXTS)
_SELECTED = frozenset(SELECT)
MAX_ADDRESS = 1024  # characters, of an address and of its key
_BLANK = re.compile(r"\s")
_PLAIN_ADDRESS = re.compile(
    r"[!#-+.-:=?A-Z\[-~-]+@[!#-+.-:=?A-Z\[-~-]+"
)  # ASCII without blanks, quotes and separators
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?")
_LINE_BREAKS = re.compile(r"\r\n?|\u2028|\u2029")
_values: Callable[[RemoteUser], tuple[Any, ...]] = attrgetter(
    *RemoteUser.__match_args__[: RemoteUser.__match_args__.index("problem") + 1]
)


class _WrongType(ValueError):
    """A property has a type that Graph never sends."""


def merge(old: Mapping[str, Any] | None, patch: Mapping[str, Any], *, full: bool) -> dict[str, Any]:
    """The raw object after ``patch``; only selected properties are kept."""
    if full or old is None:
        return {name: value for name, value in patch.items() if value is not None and name in _SELECTED}
    base = dict(old)
    base.update({name: patch[name] for name in SELECT if name in patch})
    return {name: base[name] for name in SELECT if base.get(name) is not None}


def remote_values(raw: Mapping[str, Any]) -> tuple[Any, ...]:
    """Read one raw object: the values of RemoteUser's fields up to ``problem``, as the mirror makes rows of 100,000 of them.

    Never raises: what cannot be used becomes ``problem`` (G8).
    """
    object_id = str(raw.get("id") or "").lower()
    try:
        texts = _plain_texts(raw) or [
            _text(raw.get(source), limit=limit, name=source, lines=source == "streetAddress")
            for source, limit in _TEXTS
        ]
        (upn, name, first, last, mobile, city, state, postal_code, country) = texts[:9]
        (department, office, title, immutable_id, user_type, street) = texts[9:]
        mail = _address(raw.get("mail"), "mail")
        proxies = _texts(raw.get("proxyAddresses"), limit=1024, name="proxyAddresses")
        others = [_address(item, "otherMails") for item in _list(raw.get("otherMails"), "otherMails")]
        email = choose_email(mail, proxies, upn, others)
        phones = _texts(raw.get("businessPhones"), limit=128, name="businessPhones")
        return (
            object_id,
            upn,
            name,
            first,
            last,
            email,
            _aliases(proxies, email) if proxies else (),
            next(filter(None, phones), ""),
            mobile,
            street,
            city,
            state,
            postal_code,
            country,
            title,
            department,
            office,
            user_type or "Member",  # S4
            _flag(raw.get("accountEnabled")),
            parse_time(raw.get("createdDateTime")),
            _sku_ids(raw.get("assignedLicenses")),
            immutable_id,
            Presence.PRESENT,
            "" if object_id else "the record has no id",
        )
    except _WrongType as error:
        return _values(_unusable(raw, object_id, str(error)))


def _unusable(raw: Mapping[str, Any], object_id: str, problem: str) -> RemoteUser:
    """A record that cannot be used: only the identity and the problem."""
    name, upn = raw.get("displayName"), raw.get("userPrincipalName")
    return RemoteUser(
        object_id=object_id,
        display_name=clean(name)[:256] if isinstance(name, str) else "",
        user_principal_name=clean(upn)[:1024] if isinstance(upn, str) else "",
        presence=Presence.PRESENT,
        problem=problem,
    )


def _plain_texts(raw: Mapping[str, Any]) -> list[str] | None:
    """The texts of a record where all are short, printable ASCII, as nearly everywhere; None where one wants a closer look."""
    get = raw.get
    values = [get(source) or "" for source, _ in _TEXTS]
    try:
        joined = "".join(values)
    except TypeError:  # one is no text
        return None
    if not (joined.isascii() and joined.isprintable() and max(map(len, values)) <= _SHORTEST_LIMIT):
        return None
    return list(map(str.strip, values))


def choose_email(mail: str, proxies: list[str], upn: str, others: list[str]) -> str:
    """M1: mail, else the primary ``SMTP:`` address, else the UPN unless it holds ``#EXT#``, else the first otherMails."""
    if mail:
        return mail
    primary = next((shaped for p in proxies if p.startswith("SMTP:") and (shaped := _shape(p[5:]))), "")
    if primary:
        return primary
    plain_upn = "" if "#EXT#" in upn.upper() else _shape(upn)
    return plain_upn or next((other for other in others if other), "")


def clean(text: str, *, lines: bool = False) -> str:
    """NFC, trimmed, without control characters (G7), "" for what shows nothing; line breaks stay where ``lines`` says so."""
    if text.isascii() and text.isprintable():  # nearly everything: nothing to normalize, nothing to drop
        return text.strip()
    text = _LINE_BREAKS.sub("\n", unicodedata.normalize("NFC", text))
    characters = (
        c
        for c in text
        if (c == "\n" and lines) or (unicodedata.category(c) not in {"Cc", "Cs"}) or c in "\n\t"
    )
    flat = "".join(characters)
    flat = (flat if lines else flat.replace("\n", " ").replace("\t", " ")).strip()
    return "" if is_blank(flat) else flat


def parse_time(value: Any) -> datetime | None:
    """ISO 8601 with ``Z`` and 0 to 7 fraction digits; None for null, for year 1 ("never") and for what is no time."""
    if not isinstance(value, str):
        return None
    if (
        len(value) == 20 and value[4:17:3] == "--T::" and value[19] == "Z"
    ):  # as Microsoft writes nearly all of them
        try:
            plain = datetime.fromisoformat(value)
        except ValueError:
            return None
        return None if plain.year <= 1 else plain
    match = _TIME.fullmatch(value.strip())
    if match is None:
        return None
    seconds, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(
            f"{seconds}.{(fraction or '0')[:6]:0<6}{'+00:00' if zone in {None, 'Z'} else zone}"
        )
    except ValueError:
        return None
    return None if moment.year <= 1 else moment.astimezone(UTC)


def _shape(text: str) -> str:
    """The first address in a text, "" for none (M1): some write several into ``mail``, or a name before it."""
    if _PLAIN_ADDRESS.fullmatch(text) and len(text) <= MAX_ADDRESS:  # nearly everything
        return text
    text = clean(text)
    if not text or _is_address(text):
        return text
    for part in re.split("[,;]", text):
        words = part.split()
        if bracketed := re.search("<([^<>]*)>", part):
            words = [bracketed[1].strip()]
        if words and all(map(_is_address, words)):  # "anna smith@x.example" is no address, nor is half of it
            return words[0]
    return ""


def _is_address(text: str) -> bool:
    """Whether it is formed like one address; most are, so nothing is looked at twice."""
    local, at, domain = text.rpartition("@")
    if not (at and local and domain) or _BLANK.search(text):
        return False
    if "@" in local or any(c in text for c in ",;<>"):
        return local[0] == local[-1] == '"' and len(local) > 2
    key = text if text.isascii() else email_key(text)
    return len(key) <= MAX_ADDRESS and not key.startswith("@") and not key.endswith("@")


def _address(value: Any, name: str) -> str:
    if type(value) is str and _PLAIN_ADDRESS.fullmatch(value) and len(value) <= MAX_ADDRESS:
        return value  # nearly everything
    return _shape(_text(value, limit=MAX_ADDRESS, name=name))


def _aliases(proxies: list[str], email: str) -> tuple[str, ...]:
    aliases: dict[str, None] = {}
    for proxy in proxies:
        if proxy[:5] in _SMTP or proxy[:5].upper() == "SMTP:":
            is_plain = _PLAIN_ADDRESS.fullmatch(proxy, 5) is not None
            if alias := proxy[5:].lower() if is_plain else email_key(_shape(proxy[5:])):
                aliases[alias] = None
    aliases.pop(email_key(email), None)
    return tuple(aliases)


def _text(value: Any, *, limit: int, name: str, lines: bool = False) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _WrongType(f"{name} is not a text")
    return clean(value, lines=lines)[:limit].rstrip()


def _texts(value: Any, *, limit: int, name: str) -> list[str]:
    items = _list(value, name)
    try:
        joined = "".join(items)
    except TypeError:  # one is no text: null, or of a wrong type
        joined = "\0"
    if joined.isascii() and joined.isprintable() and len(joined) <= limit:
        return [item.strip() for item in items]
    return [_text(item, limit=limit, name=name) for item in items]


def _list(value: Any, name: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _WrongType(f"{name} is not a list")
    return value


def _flag(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise _WrongType("accountEnabled is neither true nor false")


def _sku_ids(value: Any) -> tuple[str, ...]:
    sku_ids = []
    for item in _list(value, "assignedLicenses"):
        if not isinstance(item, dict) or not isinstance(item.get("skuId"), str):
            raise _WrongType("assignedLicenses has an entry without skuId")
        sku_ids.append(item["skuId"])
    return _in_order(tuple(sku_ids)) if sku_ids else ()


@lru_cache(maxsize=1024)  # few products, many people
def _in_order(skus: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({"".join(sku.split()).lower() for sku in skus}))
