"""The mirror's columns of a record: what deciding looks at, normalised, and its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import orjson

from portal.engine.ports import RawObject
from portal.engine.records import D1_FIELDS, RemoteUser
from portal.text import text_key

_fields: Callable[[RemoteUser], tuple[str, ...]] = attrgetter(*D1_FIELDS)


def columns(user: RemoteUser) -> dict[str, Any]:
    """The mirror's columns of a record: everything that deciding looks at, normalised."""
    key = user.email_key
    return {
        "object_id": user.object_id,
        "content_hash": content_hash(user),
        "problem": user.problem[:512],
        "user_principal_name": user.user_principal_name,
        **dict(zip(D1_FIELDS, _fields(user), strict=True)),
        "email_key": key,
        "domain": key.rpartition("@")[2] if "@" in user.email else "",
        "aliases": user.aliases,
        "department_key": text_key(user.department),
        "office_key": text_key(user.office_location),
        "user_type": user.user_type,
        "account_enabled": user.account_enabled,
        "created_at": user.created_at,
        "immutable_id": user.immutable_id,
        "license_sku_ids": user.license_sku_ids,
        "search_row": None,
    }


def content_hash(user: RemoteUser) -> str:
    """Of everything that a sync could ever write to an End User."""
    parts = (
        *_fields(user),
        user.user_principal_name,
        user.immutable_id,
        *user.license_sku_ids,
    )
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def as_json(raw: RawObject) -> str:
    """A raw record as the mirror keeps it: the same text for the same record."""
    try:
        return orjson.dumps(raw, option=orjson.OPT_SORT_KEYS).decode()
    except (
        TypeError
    ):  # half a surrogate pair, or a number of more than 64 bits: only Python's own writes that
        import json

        return json.dumps(raw, sort_keys=True)
