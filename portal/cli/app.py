"""The ``rollcall`` command. Each command calls the service the pages call.

Exit codes: 0 done, 1 failed with one line on stderr, 2 wrong usage.
"""

from __future__ import annotations

import logging
import sys

import click

from portal.cli import apply, audit, data, demo, doctor, files, people, secrets, serve, sync
from portal.config import ConfigError
from portal.errors import Invalid, PortalError
from simulator.cli import simulate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def rollcall() -> None:
    """Rollcall keeps End Users in step with Microsoft Entra ID."""


for command in (
    serve.serve,
    serve.worker,
    demo.demo,
    demo.seed,
    simulate,
    apply.apply,
    audit.audit,
    data.db,
    data.backup,
    data.restore,
    doctor.doctor,
    files.import_file,
    files.undo_import,
    files.export_file,
    people.people,
    people.token,
    secrets.secrets,
    sync.sync,
):
    rollcall.add_command(command)


def main() -> None:
    """Run the command line; every expected failure becomes one line on stderr and exit code 1."""
    logging.getLogger("portal").addHandler(logging.NullHandler())  # what a run logs is no second line
    try:
        sys.exit(rollcall.main(standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        click.echo(error.format_message(), err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        sys.exit(1)
    except Invalid as error:
        click.echo("; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.errors.items()), err=True)
        sys.exit(1)
    except (PortalError, ConfigError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)
