"""``rollcall serve`` and ``rollcall worker``: the production processes."""

from __future__ import annotations

import errno
import socket

import click

from portal import clock
from portal.auth import first_administrator
from portal.cli.context import portal_app
from portal.config import load
from portal.errors import PortalError
from portal.extensions import db
from portal.operations import choices, logs, server
from portal.runtime import runtime


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
def serve(host: str, port: int) -> None:
    """Run the portal, with the scheduler in the process. Brings the database up to date first."""
    check_free(host, port)
    logs.configure(form=load().log_format)
    with portal_app() as app:
        token = first_administrator.new_setup_token(db.session(), clock.utcnow())
        db.session.commit()
        base = runtime().settings.base_url or f"http://{host}:{port}"
        app.config["ROLLCALL_HOST"] = host
    if token is not None:
        click.echo(f"First run: create the administrator at {base}/setup?token={token}")
    click.echo(f"Rollcall is at {base}")
    server.Server(app, host, port).run()


@click.command()
@click.option(
    "--concurrency",
    default=4,
    show_default=True,
    type=click.IntRange(1, 64),
    help="How many Microsoft tenants are synced at once.",
)
def worker(concurrency: int) -> None:
    """Run syncs for portals with ROLLCALL_SCHEDULER=distributed, until SIGTERM. Start as many as are needed."""
    is_asked_for = load().scheduler == "distributed"
    logs.configure(form=load().log_format)
    with portal_app(
        writes=False, worker_connections=_connections(concurrency) if is_asked_for else None
    ) as app:
        if not is_asked_for:
            raise PortalError(
                "A worker has nothing to do here: set ROLLCALL_SCHEDULER=distributed for it and for `rollcall serve`."
            )
    server.keep_loaded_code()
    from portal.worker import distributed_worker

    distributed_worker.run(app, concurrency)


def _connections(concurrency: int) -> int:
    choices.require_procrastinate()
    from portal.worker import distributed_worker  # an extra, which all other commands do without

    return distributed_worker.connections_needed(concurrency)


def check_free(host: str, port: int) -> None:
    """Raise PortalError, before anything is done, when this address cannot be listened at."""
    try:
        kind, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortalError(f"Port {port} is in use. Choose another with --port.") from error
        raise PortalError(
            f"Cannot listen at {host}, port {port}: {error.strerror}. Choose others with --host and --port."
        ) from error
