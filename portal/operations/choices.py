"""Refuse settings that cannot work at the start, in one line: they would lose data or do nothing later."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from sqlalchemy.engine import make_url

from portal.config import ConfigError, Settings

MOUNTS = Path("/proc/mounts")
NETWORK_SYSTEMS = re.compile(
    r"(nfs\d*|cifs|smb\d*|smbfs|ncpfs|9p|afs|ceph|lustre|gpfs|beegfs|glusterfs|ocfs2|gfs2|davfs"
    r"|fuse\.(sshfs|glusterfs|ceph|s3fs|rclone|davfs2?|smbnetfs|curlftpfs|gcsfuse|juicefs))"
)
"""File systems of other machines, or of several. SQLite's locks and shared memory do not reach across."""


def check(settings: Settings) -> None:
    """Raise ConfigError for what cannot work on this machine."""
    if settings.scheduler == "distributed":
        require_procrastinate()
    if settings.is_sqlite:
        _require_local_file(settings)


def require_procrastinate() -> None:
    """Raise ConfigError where the extra is not installed. Does not import it."""
    if importlib.util.find_spec("procrastinate") is None:
        raise ConfigError(
            "ROLLCALL_SCHEDULER: distributed needs Procrastinate, which is not installed; "
            "install rollcall[scale], or use the container image"
        )


def _require_local_file(settings: Settings) -> None:
    name = make_url(settings.database_url).database
    if not name or name.startswith((":", "file:")):
        return
    system = file_system(Path(name))
    if NETWORK_SYSTEMS.fullmatch(system):
        raise ConfigError(
            f"ROLLCALL_DATABASE_URL: {name} is on a network file system ({system}), where SQLite loses data; "
            "use a local disk, or PostgreSQL"
        )


def file_system(path: Path) -> str:
    """The kind of file system that a path is on, or will be, such as ``ext4``; "" if unknown."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    resolved = path.resolve()
    kind, length = "", -1
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        mount = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[1]))
        # The last one of a place is the one that is seen there.
        if resolved.is_relative_to(mount) and len(mount.parts) >= length:
            kind, length = fields[2], len(mount.parts)
    return kind
