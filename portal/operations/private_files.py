"""Folders and files for the owner's eyes only, whatever the umask and whoever made them."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger(__name__)
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_folder(path: Path) -> None:
    """Make the folder, and close it to everybody else (0700), also one that was there before. Raises OSError.

    One that many share, as /tmp is, stays as it is.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.stat().st_mode & stat.S_ISVTX:
        _close(path, 0o700)


def keep_file(path: Path) -> None:
    """Make the file where it is not there yet, and close it to everybody else (0600). Raises OSError."""
    path.touch(mode=0o600)
    _close(path, 0o600)


def create(path: Path) -> BinaryIO:
    """Open a file for writing, empty and closed to everybody else (0600) before anything is in it. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    if stat.S_ISREG(os.fstat(handle).st_mode):  # /dev/stdout is not ours to change
        os.fchmod(handle, 0o600)
    return os.fdopen(handle, "wb")


def _close(path: Path, mode: int) -> None:
    current = stat.S_IMODE(path.stat().st_mode)
    if current & 0o777 == mode:
        return
    try:
        path.chmod(mode)
    except OSError as error:  # a volume that belongs to somebody else: the portal can still work
        if current & OTHERS:
            log.warning("action=close path=%s mode=%o error=%s", path, current, error.strerror)
