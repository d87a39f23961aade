"""``rollcall demo``: the simulator and the portal on throw-away data, with a sign-in printed (O1)."""

from __future__ import annotations

import json
import re
import secrets
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import click

from portal import clock
from portal.cli.context import portal_app
from portal.cli.demo_data import PEOPLE, fill
from portal.cli.serve import check_free
from portal.config import child_environment
from portal.errors import PortalError
from portal.extensions import db
from simulator.world import World

ASSETS = 12
KNOWN_PEOPLE = 9
MAC = re.compile("[0-9A-F]{12}")
ROOT = Path(__file__).resolve().parents[2]
WATCHED = ("portal", "templates", "static", "docs/guide")
WATCHED_KINDS = {".py", ".html", ".css", ".js", ".md"}
WATCH_SECONDS = 1.0
PROGRAM = (sys.executable, "-m", "portal.cli")


@click.command()
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="The port of the portal."
)
@click.option(
    "--users",
    default=400,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="People in the first tenant.",
)
@click.option(
    "--reload", is_flag=True, help="Restart the portal when its source, a template or a style changes."
)
def demo(port: int, users: int, *, reload: bool) -> None:
    """Start a simulator and a portal filled with two simulated Microsoft tenants. Everything is deleted at the end."""
    check_free("127.0.0.1", port)
    signal.signal(signal.SIGTERM, _end)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rollcall-demo-")))
        facts = _start_simulator(stack, users)
        password = secrets.token_urlsafe(9)
        environment = child_environment(
            ROLLCALL_DATA_DIR=str(folder),
            ROLLCALL_DATABASE_URL="",
            ROLLCALL_SECRET_KEY=secrets.token_urlsafe(32),
            ROLLCALL_BASE_URL=f"http://localhost:{port}",
            ROLLCALL_SCHEDULER="embedded",
            MICROSOFT_CLIENT_ID=facts["client_id"],
            MICROSOFT_CLIENT_SECRET=facts["client_secret"],
            MICROSOFT_CERTIFICATE_FILE="",
            MICROSOFT_LOGIN_URL=facts["login_url"],
            MICROSOFT_GRAPH_URL=facts["graph_url"],
            REQUESTS_CA_BUNDLE=facts["ca_bundle"],
        )
        seeded = subprocess.run(
            [*PROGRAM, "demo-seed", *facts["tenant_ids"]],
            env=environment,
            input=json.dumps({"password": password, **_known_before(users)}),
            text=True,
            check=False,
        )
        if seeded.returncode != 0:
            raise PortalError("The demo data could not be created; the reason is shown above.")
        _say(port, password, facts)
        command = ["serve", "--port", str(port)]
        portal = _start(stack, command, environment)
        try:
            while (code := _wait(portal, watch=reload)) is None:
                click.echo("Something changed. The portal restarts.")
                _stop(portal)
                portal = _start(stack, command, environment)
        except KeyboardInterrupt:
            code = 0
    sys.exit(1 if code not in {0, -signal.SIGTERM, -signal.SIGINT} else 0)


@click.command("demo-seed", hidden=True)
@click.argument("directory_ids", nargs=-1)
def seed(directory_ids: tuple[str, ...]) -> None:
    """Fill a fresh database for the demo. Standard input: JSON with ``password`` and what ``fill`` takes as ``facts``."""
    facts = json.load(sys.stdin)
    with portal_app():
        fill(db.session(), directory_ids, facts, password=facts["password"], now=clock.utcnow())
        db.session.commit()


def _known_before(users: int) -> dict[str, list[Any]]:
    """What the MSP knew of the first tenant before: a few people, ``[name, email]``, and addresses of a few devices.

    The simulator's world is the same for the same seed, so it is looked at here instead of asked for.
    """
    directory = next(iter(World(tenants=2, users=users).tenants.values())).directory
    people = [
        [user.props["displayName"], user.props["mail"]]
        for user in directory.users.values()
        if user.props.get("mail", "").endswith("@fabrikam-joinery.example")
        and user.props["displayName"].isascii()
        and user.props.get("assignedLicenses")
        and user.props.get("accountEnabled")
    ]
    wifi_macs = (device.get("wiFiMacAddress") for device in directory.managed_devices.values())
    macs = [
        mac
        for mac in wifi_macs
        if mac and MAC.fullmatch(mac) and not mac.startswith(("00000", "FFFFF", "0200"))
    ]
    return {"people": people[-KNOWN_PEOPLE:], "macs": list(dict.fromkeys(macs))[:ASSETS]}


def _start_simulator(stack: ExitStack, users: int) -> dict[str, Any]:
    process = _start(stack, ["simulate", "--port", "0", "--tenants", "2", "--users", str(users)], None)
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise PortalError("The simulator did not start; the reason is shown above.")
    facts: dict[str, Any] = json.loads(line)
    return facts


def _start(
    stack: ExitStack, arguments: list[str], environment: dict[str, str] | None
) -> subprocess.Popen[str]:
    """Start one of our own commands; it ends with the demo."""
    is_source = arguments[0] == "simulate"
    process = subprocess.Popen(
        [*PROGRAM, *arguments], env=environment, stdout=subprocess.PIPE if is_source else None, text=True
    )
    stack.callback(_stop, process)
    return process


def _wait(process: subprocess.Popen[str], *, watch: bool) -> int | None:
    """The exit code of ``process``; None as soon as a file of the portal changes while it is watched."""
    if not watch:
        return process.wait()
    before = _newest()
    while _newest() == before:
        try:
            return process.wait(timeout=WATCH_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    return None


def _newest() -> float:
    """When a file that the portal reads at its start was changed last."""
    files = (
        path for folder in WATCHED for path in (ROOT / folder).rglob("*") if path.suffix in WATCHED_KINDS
    )
    return max((path.stat().st_mtime for path in files if path.exists()), default=0.0)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _end(_number: int, _frame: FrameType | None) -> None:
    """Leave by the exit of the with block, so that nothing stays behind."""
    sys.exit(0)


def _say(port: int, password: str, facts: dict[str, Any]) -> None:
    click.echo("")
    click.echo(f"  Rollcall demo:   http://localhost:{port}")
    for email, role, _name in PEOPLE:
        click.echo(f"  Sign in as:      {email}   {password}   ({role})")
    click.echo(
        f"  Simulator:       {facts['graph_url']}  (control: {facts['control_url']}, token {facts['control_token']})"
    )
    click.echo(
        "  First sync:      Organizations, Fabrikam Joinery, Set Up Microsoft Entra ID User Sync, Set Up, Enable Sync"
    )
    click.echo("  Stop:            Ctrl+C. Nothing is kept.")
    click.echo("")
