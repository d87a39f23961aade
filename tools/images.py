"""Pin the images of Dockerfile and docker-compose.postgres.yml by digest: ``make images``.

Asks Docker which digest each tag has now, and writes ``tag@sha256:…``. All or nothing: without an answer nothing changes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = ("Dockerfile", "docker-compose.postgres.yml")
IMAGE = re.compile(
    r"(?<=_IMAGE=)[\w./-]+:[\w.-]+(?:@sha256:\w+)?|(?<=_IMAGE:-)[\w./-]+:[\w.-]+(?:@sha256:\w+)?"
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
INSPECT = ("docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}")


def digest_of(tag: str) -> str:
    """The digest of the image list behind ``tag``. Raises SystemExit with one line when Docker gives none."""
    try:
        done = subprocess.run([*INSPECT, tag], capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SystemExit(f"Docker cannot be asked for {tag}: {error}. Nothing was changed.") from error
    found = done.stdout.strip()
    if done.returncode or not DIGEST.fullmatch(found):
        reason = (done.stderr.strip() or found or "no answer").splitlines()[-1]
        raise SystemExit(f"Docker gives no digest for {tag}: {reason}. Nothing was changed.")
    return found


def pin(root: Path = ROOT) -> list[str]:
    """Pin every image in FILES under ``root`` and give what they are now."""
    texts = {root / name: (root / name).read_text(encoding="utf-8") for name in FILES}
    tags = {found.partition("@")[0] for text in texts.values() for found in IMAGE.findall(text)}
    pinned = {tag: f"{tag}@{digest_of(tag)}" for tag in sorted(tags)}
    for path, text in texts.items():
        path.write_text(IMAGE.sub(lambda found: pinned[found[0].partition("@")[0]], text), encoding="utf-8")
    return list(pinned.values())


if __name__ == "__main__":
    sys.stdout.write("\n".join(pin()) + "\n")
