"""Which Asset belongs to whom by MAC address (D2, W5). Pure.

W5 drops malformed, all-zero and broadcast addresses. Multicast ones and Android's placeholder 02:00:00:00:00:00 identify
no device either (docs/microsoft-graph.md, 8.3) and are dropped as well. Randomised (locally administered) addresses
are kept: they only count when the very same one was entered for an Asset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

_SEPARATORS = re.compile(r"[\s:.\-]")
_PLACEHOLDERS = {"000000000000", "FFFFFFFFFFFF", "020000000000"}


class AssetOutcome(StrEnum):
    """The outcome of an Asset: assigned, or reported and left alone.

    shared: this MAC is on several people's devices and says nothing; another one of the Asset's decided.
    """

    ASSIGN = "assign"
    MANUAL = "manual"
    AMBIGUOUS = "ambiguous"
    SHARED = "shared"


@dataclass(frozen=True, slots=True)
class AssetState:
    """An Asset as stored. assigned_by: manual | sync | None."""

    id: str
    macs: tuple[str, ...]
    end_user_id: str | None = None
    assigned_by: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceState:
    """A Microsoft-managed device: whose it is ("" for nobody) and its normalised MACs."""

    device_id: str
    user_object_id: str
    macs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AssetDecision:
    """What to do with one Asset. ``mac``: the address it follows from."""

    asset_id: str
    outcome: AssetOutcome
    mac: str
    end_user_id: str | None = None


def normalize_mac(text: str | None) -> str:
    """12 upper-case hex digits, or "" for what is no device's address."""
    digits = _SEPARATORS.sub("", text or "").upper()
    if not re.fullmatch(r"[0-9A-F]{12}", digits) or digits in _PLACEHOLDERS or int(digits[1], 16) & 1:
        return ""
    return digits


def assign(
    assets: Iterable[AssetState], devices: Iterable[DeviceState], end_user_of: Mapping[str, str]
) -> tuple[AssetDecision, ...]:
    """Decide about every Asset a device speaks for. ``end_user_of``: linked object id → End User id.

    An Asset may have several decisions, at most one of which assigns it. An Asset whose device is gone keeps its assignment: absence of a device says nothing about whose it is.
    """
    owners: dict[str, set[str]] = {}
    for device in devices:
        if device.user_object_id:
            for mac in device.macs:
                owners.setdefault(mac, set()).add(device.user_object_id)
    decisions: list[AssetDecision] = []
    for asset in assets:
        decisions.extend(_decide(asset, owners, end_user_of))
    return tuple(decisions)


def _decide(
    asset: AssetState, owners: Mapping[str, set[str]], end_user_of: Mapping[str, str]
) -> Iterator[AssetDecision]:
    candidates: dict[str, str] = {}
    shared = []
    for mac in sorted(asset.macs):
        users = owners.get(mac, set())
        if len(users) > 1:
            shared.append(mac)
        elif users and (end_user_id := end_user_of.get(next(iter(users)))) is not None:
            candidates.setdefault(end_user_id, mac)
    is_settled = len(candidates) == 1
    for mac in shared:
        yield AssetDecision(asset.id, AssetOutcome.SHARED if is_settled else AssetOutcome.AMBIGUOUS, mac)
    if not is_settled:
        if candidates:
            yield AssetDecision(asset.id, AssetOutcome.AMBIGUOUS, next(iter(candidates.values())))
        return
    ((end_user_id, mac),) = candidates.items()
    if asset.end_user_id == end_user_id:
        return
    is_manual = asset.end_user_id is not None and asset.assigned_by == "manual"
    yield AssetDecision(asset.id, AssetOutcome.MANUAL if is_manual else AssetOutcome.ASSIGN, mac, end_user_id)
