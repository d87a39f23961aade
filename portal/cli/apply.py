"""``rollcall apply``: Organizations, their Microsoft tenants, filter templates and syncs as a TOML file says."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import click
from flask import Flask

from portal import clock
from portal.cli.context import answer, json_option, portal_app
from portal.declarations import execution, file, plan
from portal.declarations.execution import Done
from portal.declarations.file import Declaration
from portal.declarations.plan import Plan
from portal.errors import Invalid, PortalError
from portal.extensions import db
from portal.http.formatting import plural
from portal.worker import scheduler

NOTHING = "Nothing to do: everything matches the file."
WAIT_SECONDS = 600.0
"""For so long the first reads of tenants are waited for that templates with groups need."""
POLL_SECONDS = 1.0


@click.command("apply")
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only show the plan.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def apply(path: Path, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Show what FILE would change, ask, and apply exactly that. What FILE does not name stays. Exit code 1 if a step fails."""
    text = _text(path)
    with portal_app(writes=False) as app:
        declaration = _read(text)
        proposal = plan.plan(declaration)
        db.session.rollback()
        _refuse(proposal)
        if dry_run or not proposal.steps:
            answer(_document(proposal, []), _plan_text(proposal), as_json=as_json)
            return
        if not as_json:
            click.echo(_plan_text(proposal))
        if not yes and not click.confirm("Do this?", err=as_json):
            raise PortalError("Nothing was changed.")
        if plan.plan(declaration).plan_id != proposal.plan_id:
            raise PortalError(
                "Data has changed since the plan was made, so nothing was applied. Run the command again."
            )
        results = _execute(app, declaration, proposal, quiet=as_json)
    failed = [step for step in results if step.problem]
    summary = f"{len(results) - len(failed):,} done, {len(failed):,} not."
    answer(_document(proposal, results), summary, as_json=as_json)
    if failed:
        raise PortalError(
            f"{len(failed):,} of {len(results):,} steps could not be done. Run the command again to see what is left."
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise PortalError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise PortalError(f"{path} is not UTF-8.") from error


def _read(text: str) -> Declaration:
    try:
        return file.read(text)
    except Invalid as error:
        _say_errors(error.errors)
        raise PortalError(
            f"{plural(len(error.errors), 'entry', 'entries')} of the file cannot be used. Nothing was changed."
        ) from error


def _refuse(proposal: Plan) -> None:
    if proposal.problems:
        _say_errors(dict(proposal.problems))
        raise PortalError(
            f"{plural(len(proposal.problems), 'entry', 'entries')} cannot be applied. Nothing was changed."
        )


def _say_errors(errors: dict[str, list[str]]) -> None:
    """One line each, before the line with the outcome."""
    for key, sentences in errors.items():
        click.echo(f"{key}: {' '.join(sentences)}", err=True)


def _plan_text(proposal: Plan) -> str:
    lines = [step.line() for step in proposal.steps] or [NOTHING]
    return "\n".join([*lines, *(f"! {note}" for note in proposal.notes)])


def _document(proposal: Plan, done: list[Done]) -> dict[str, Any]:
    return {
        "plan_id": proposal.plan_id,
        "changes": [step.document() for step in done] or [step.document() for step in proposal.steps],
        "notes": list(proposal.notes),
    }


def _execute(app: Flask, declaration: Declaration, proposal: Plan, *, quiet: bool) -> list[Done]:
    """Every step; those that wait for the first read of a tenant are tried again while it is read."""
    results = [_report(result, quiet=quiet) for result in execution.execute(declaration, proposal)]
    if any(step.waits for step in results):
        results = _wait(app, declaration, results, quiet=quiet)
    return results


def _wait(app: Flask, declaration: Declaration, results: list[Done], *, quiet: bool) -> list[Done]:
    """Work on the reads in this process too, as ``sync run`` does."""
    helper, pause = scheduler.Scheduler(app, timer=False), threading.Event()
    helper.start()
    try:
        end = clock.monotonic() + WAIT_SECONDS
        while any(step.waits for step in results) and clock.monotonic() < end:
            pause.wait(POLL_SECONDS)
            left = Plan([step.step for step in results if step.waits])
            again = {result.step: result for result in execution.execute(declaration, left)}
            for retried in again.values():
                if not retried.waits:
                    _report(retried, quiet=quiet)
            results = [again.get(step.step, step) for step in results]
    finally:
        helper.stop()
    return results


def _report(result: Done, *, quiet: bool) -> Done:
    if not quiet:
        mark = "waits" if result.waits else ("failed" if result.problem else "done")
        click.echo(f"{mark:<7}{result.step.words}" + (f": {result.problem}" if result.problem else ""))
    return result
