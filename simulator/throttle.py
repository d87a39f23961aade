"""Throttling as Microsoft does it (docs/microsoft-graph.md, 10.1): resource units, the sign-in limit, reports, Intune."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from simulator.messages import GraphError


@dataclass(slots=True)
class Window:
    """So many units within so many seconds, sliding."""

    limit: float
    seconds: float
    spent: deque[tuple[float, int]] = field(default_factory=deque)
    total: int = 0

    def take(self, cost: int, now: float) -> int:
        """Spend ``cost``; seconds to wait when the limit was passed, else 0. What is refused counts too."""
        while self.spent and self.spent[0][0] <= now - self.seconds:
            self.total -= self.spent.popleft()[1]
        self.spent.append((now, cost))
        self.total += cost
        if self.total <= self.limit:
            return 0
        over = self.total - self.limit
        for moment, units in self.spent:
            over -= units
            if over <= 0:
                return max(1, math.ceil(moment + self.seconds - now))
        return max(1, math.ceil(self.seconds))

    @property
    def share(self) -> float:
        """How much of the limit is used, 1.0 being all."""
        return self.total / self.limit


class Throttle:
    """The limits of one app. ``scale`` multiplies the resource-unit limits; ``sign_ins`` is per minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.scale = 1.0
        self.sign_ins = 10.0
        self.is_on = True
        self._windows: dict[tuple[str, str], Window] = {}
        self._refused = 0

    def clear(self) -> None:
        """Forget what was spent and go back to Microsoft's limits."""
        with self._lock:
            self._windows.clear()
            self.scale, self.sign_ins, self.is_on = 1.0, 10.0, True

    def configure(
        self, *, scale: float | None = None, sign_ins: float | None = None, is_on: bool | None = None
    ) -> None:
        """Change limits; what was spent is forgotten."""
        with self._lock:
            self._windows.clear()
            self.scale = self.scale if scale is None else scale
            self.sign_ins = self.sign_ins if sign_ins is None else sign_ins
            self.is_on = self.is_on if is_on is None else is_on

    def spend(self, tenant_id: str, users: int, family: str, cost: int) -> dict[str, str]:
        """Count one request of a family; headers for its answer. Raises GraphError 429."""
        if not self.is_on:
            return {}
        now = time.monotonic()
        with self._lock:
            match family:
                case "sign_ins":
                    self._take(("sign_ins", ""), self.sign_ins, 60, 1, now)
                case "reports":
                    self._take(("reports", ""), 122, 10, 1, now)
                    self._take(("reports", tenant_id), 5 * self.scale, 10, 1, now)
                    return {}
                case "intune":
                    self._take(("intune", tenant_id), 2000 * self.scale, 20, 1, now)
                    return {}
                case _:
                    pass
            size = 3500 if users < 50 else 5000 if users <= 500 else 8000
            window = self._take(("units", tenant_id), size * self.scale, 10, cost, now)
            headers = {"x-ms-resource-unit": str(cost)}
            if window.share >= 0.8:
                headers["x-ms-throttle-limit-percentage"] = f"{min(window.share, 1.8):.2f}"
            return headers

    def _take(self, key: tuple[str, str], limit: float, seconds: float, cost: int, now: float) -> Window:
        window = self._windows.setdefault(key, Window(limit, seconds))
        wait = window.take(cost, now)
        if wait:
            self._refused += 1
            headers = {
                "x-ms-throttle-scope": f"Tenant_Application/ReadWrite/{key[0]}/{key[1]}",
                "x-ms-throttle-information": "ResourceUnitLimitExceeded",
            }
            # Intune leaves Retry-After out now and then.
            if key[0] != "intune" or self._refused % 2:
                headers["Retry-After"] = str(wait)
            raise GraphError(429, "TooManyRequests", "Please retry again later.", headers)
        return window
