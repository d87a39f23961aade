"""The mirror's columns of a record: what deciding looks at, normalised, and its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Any

import orjson

from portal.engine.ports import RawObject
from portal.engine.records import D1_FIELDS, RemoteUser
from portal.text import email_key, text_key

_PLACES = {name: place for place, name in enumerate(RemoteUser.__match_args__)}
_COPIED = (
    "object_id",
    "user_principal_name",
    *D1_FIELDS,
    "aliases",
    "user_type",
    "account_enabled",
    "created_at",
    "immutable_id",
    "license_sku_ids",
)
_COMPUTED = ("problem", "content_hash", "email_key", "domain", "department_key", "office_key", "search_row")
NAMES = (*_COPIED, *_COMPUTED)
"""The columns that are computed from a record, in the order of ``row_of``."""

_copied: Callable[[tuple[Any, ...]], tuple[Any, ...]] = itemgetter(*(_PLACES[name] for name in _COPIED))
_hashed: Callable[[tuple[Any, ...]], tuple[str, ...]] = itemgetter(
    *(_PLACES[name] for name in (*D1_FIELDS, "user_principal_name", "immutable_id"))
)
_rest: Callable[[tuple[Any, ...]], tuple[Any, ...]] = itemgetter(
    *(_PLACES[name] for name in ("email", "department", "office_location", "license_sku_ids", "problem"))
)
_key = lru_cache(maxsize=4096)(text_key)  # few departments and offices, many people


def row_of(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The columns ``NAMES`` of a record given as ``normalize.remote_values``: as a tuple, since a read makes 100,000."""
    email, department, office, skus, problem = _rest(values)
    key = email_key(email)
    return (
        *_copied(values),
        problem[:512],
        _content_hash(_hashed(values), skus),
        key,
        key.rpartition("@")[2] if "@" in email else "",
        _key(department),
        _key(office),
        None,
    )


def _content_hash(texts: tuple[str, ...], skus: tuple[str, ...]) -> str:
    """Of everything that a sync could ever write to an End User."""
    text = "\x1f".join(texts + skus)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def as_json(raw: RawObject) -> str:
    """A raw record as the mirror keeps it: the same text for the same record."""
    try:
        return orjson.dumps(raw, option=orjson.OPT_SORT_KEYS).decode()
    except (
        TypeError
    ):  # half a surrogate pair, or a number of more than 64 bits: only Python's own writes that
        import json

        return json.dumps(raw, sort_keys=True)
