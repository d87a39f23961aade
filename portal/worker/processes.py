"""Names processes so that another on the same machine can tell whether one still runs."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path


def own_name() -> str:
    """``host:pid-namespace:pid:random``, at most 64 characters. A container has a namespace of its own."""
    return f"{_place()}:{os.getpid()}:{secrets.token_hex(4)}"


def is_dead(name: str) -> bool:
    """True if ``name`` ran on this machine, in this container, and has ended. False for other machines: it cannot be known."""
    place, _, rest = name.rpartition(":")[0].rpartition(":")
    if place != _place() or not rest.isdigit():
        return False
    pid = int(rest)
    if pid == os.getpid():
        return True  # process numbers are reused: the earlier process with ours has ended
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Ended but not reaped: usual below a container's first process, which may never reap."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return state[:1] == ["Z"]


def _place() -> str:
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        namespace = "-"
    return f"{socket.gethostname()[:30].replace(':', '-')}:{namespace}"
