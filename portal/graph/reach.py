"""Whether Microsoft's addresses can be reached from this machine, and what time it is there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

import requests

TIMEOUT = (5, 10)


@dataclass(frozen=True)
class Reached:
    """problem: why there was no answer, "" when there was one. at: the other side's clock, None when it did not say."""

    problem: str = ""
    at: datetime | None = None
    is_certificate: bool = False
    is_proxy: bool = False


def reach(url: str) -> Reached:
    """Ask ``url`` for anything, without a token: every answer counts, also a refusal. Raises nothing."""
    try:
        answer = requests.head(url, timeout=TIMEOUT, allow_redirects=False)
    except requests.exceptions.ProxyError as error:
        return Reached(type(error).__name__, is_proxy=True)
    except requests.exceptions.SSLError as error:
        return Reached(type(error).__name__, is_certificate=True)
    except requests.RequestException as error:
        return Reached(type(error).__name__)
    try:
        return Reached(at=parsedate_to_datetime(answer.headers["Date"]))
    except (KeyError, ValueError, TypeError):
        return Reached()
