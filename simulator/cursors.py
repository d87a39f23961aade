"""Where the open lists stand, by the token in their nextLink."""

from __future__ import annotations

import base64
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Render = Callable[[Any], Any]
"""One item -> its JSON, or None when it is no longer there."""


@dataclass(slots=True)
class Cursor:
    """Where a list stands. ``items`` never changes while the list is read; each is rendered when its page is.

    finish: what the last page carries besides (a delta link). link_stem: the link without its token.
    """

    tenant_id: str
    path: str
    items: Sequence[Any]
    render: Render
    context: str
    size: int
    link_stem: str
    offset: int = 0
    page: int = 1
    count: int | None = None
    needs_header: bool = False
    finish: Callable[[], dict[str, str]] | None = None
    moved: Any = None
    is_after_empty: bool = False


class Cursors:
    """The open lists, by token. Old ones are forgotten, as Microsoft's links expire too."""

    def __init__(self, keep: int = 4000) -> None:
        self._open: OrderedDict[str, Cursor] = OrderedDict()
        self._keep = keep
        self._lock = threading.Lock()

    def put(self, cursor: Cursor) -> str:
        """Remember a place in a list; its token."""
        token = "RFNwdAIAAQAA" + base64.urlsafe_b64encode(secrets.token_bytes(48)).decode()
        with self._lock:
            self._open[token] = cursor
            while len(self._open) > self._keep:
                self._open.popitem(last=False)
        return token

    def find(self, token: str) -> Cursor | None:
        """The place a token stands for."""
        return self._open.get(token)

    def clear(self) -> None:
        """Forget all: every outstanding nextLink is refused from now on."""
        with self._lock:
            self._open.clear()
