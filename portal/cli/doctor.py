"""``rollcall doctor``: what is wrong with this installation, and what to do."""

from __future__ import annotations

from dataclasses import asdict

import click
from sqlalchemy.orm import Session

from portal import create_app
from portal.cli.context import answer, json_option
from portal.clock import utcnow
from portal.errors import PortalError
from portal.extensions import db
from portal.operations import doctor as checks
from portal.runtime import runtime

MARKS = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}


@click.command()
@json_option
def doctor(*, as_json: bool) -> None:
    """Look at the database, key, clock, Microsoft's addresses and workers. Changes nothing; fails when something is wrong."""
    app = create_app()
    with app.app_context(), Session(db.engine) as session:
        findings = list(checks.examine(db.engine, session, runtime().settings, runtime().box, utcnow()))
    lines = [
        f"{MARKS[finding.state]}  {finding.name}: {finding.detail} {finding.advice}".rstrip()
        for finding in findings
    ]
    answer({"findings": [asdict(finding) for finding in findings]}, "\n".join(lines), as_json=as_json)
    wrong = [finding.name for finding in findings if finding.state == "error"]
    if wrong:
        raise PortalError(f"{len(wrong)} to fix: {', '.join(wrong)}.")
