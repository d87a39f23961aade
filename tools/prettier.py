"""Hold our own CSS and JavaScript to prettier's layout; with ``--write`` lay them out.

    python tools/prettier.py [--write]

prettier comes with the browser libraries (``package-lock.json``), its settings are in ``package.json``.
"""

import sys
from pathlib import Path

import assets

FILES = ("static/*.css", "static/styles/*.css", "static/*.js")


def main() -> int:
    """Command line: exit code 1 when a file is laid out otherwise."""
    how = "--write" if "--write" in sys.argv[1:] else "--check"
    return assets.run_npm(
        Path(assets.ROOT), "exec", "--offline", "--", "prettier", how, "--log-level=warn", *FILES
    )


if __name__ == "__main__":
    sys.exit(main())
