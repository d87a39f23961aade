"""``python -m portal.cli``: the same as ``rollcall``, for starting ourselves whatever the PATH is."""

from portal.cli.app import main

main()
