"""What ``rollcall doctor`` looks at: one finding per line, each with what to do (O3). It changes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from portal.config import Settings
from portal.crypto import CannotDecrypt, SecretBox
from portal.graph.clouds import DEFAULT, cloud
from portal.graph.reach import Reached, reach
from portal.models import MicrosoftTenant, SyncRun
from portal.operations import schema
from portal.operations.keys import stored_secrets
from portal.worker import attendance

CLOCK_SECONDS = 120
"""Tokens are refused when clocks differ by minutes; two leave time to act."""
FREE_BYTES = 500_000_000
WAITS_SECONDS = 2 * 3600

State = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """name: what was looked at. detail: what was found. advice: what to do, "" when nothing."""

    name: str
    state: State
    detail: str
    advice: str = ""


def examine(
    engine: Engine,
    session: Session,
    settings: Settings,
    box: SecretBox,
    now: datetime,
    *,
    ask: Callable[[str], Reached] = reach,
) -> Iterator[Finding]:
    """Every finding, in the order in which they depend on each other. Without a database of this version, what is read from it is left out."""
    finding = _database(engine)
    yield finding
    if finding.state != "error":
        finding = _migrations(engine)
        yield finding
    if finding.state != "error":
        yield _key(session, box)
        yield _queue(session, settings, now)
    yield _folder(settings)
    yield from _microsoft(settings, now, ask)
    yield _proxies(settings)


def _database(engine: Engine) -> Finding:
    kind = "SQLite" if engine.dialect.name == "sqlite" else "PostgreSQL"
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
    except SQLAlchemyError as error:
        return Finding(
            "Database",
            "error",
            f"{kind} does not answer: {type(error).__name__}.",
            "Check ROLLCALL_DATABASE_URL and the database server.",
        )
    return Finding("Database", "ok", f"{kind} answers.")


def _migrations(engine: Engine) -> Finding:
    problem = schema.pending(engine)
    if problem is None:
        return Finding("Migrations", "ok", "The schema is up to date.")
    return Finding("Migrations", "error", problem, "Run `rollcall db upgrade`, or install the newer version.")


def _key(session: Session, box: SecretBox) -> Finding:
    lost, old = [], 0
    for row, column, purpose, label in stored_secrets(session):
        sealed = getattr(row, column)
        try:
            box.decrypt(sealed, purpose=purpose)
        except CannotDecrypt:
            lost.append(label)
        old += not box.is_current(sealed)
    if lost:
        return Finding(
            "Secret key",
            "error",
            f"Stored secrets that cannot be opened, {len(lost)} in all: {'; '.join(lost[:3])}.",
            "Put the key they were encrypted with into ROLLCALL_OLD_SECRET_KEYS, or enter them again.",
        )
    if old:
        return Finding(
            "Secret key",
            "warning",
            f"{old} stored secrets are encrypted with an old key.",
            "Run `rollcall secrets rotate`, then drop ROLLCALL_OLD_SECRET_KEYS.",
        )
    return Finding("Secret key", "ok", "Every stored secret can be opened.")


def _queue(session: Session, settings: Settings, now: datetime) -> Finding:
    if settings.scheduler == "distributed":
        workers = attendance.look(session)
        detail = f"Jobs waiting: {sum(workers.waiting.values())}; workers: {workers.workers}."
        if workers.is_abandoned:
            advice = "Start `rollcall worker`."
            return Finding(
                "Workers", "error", f"{detail} None has been started for {workers.oldest:.0f} s.", advice
            )
        return Finding("Workers", "ok", detail)
    waiting, oldest = session.execute(
        select(func.count(), func.min(SyncRun.created_at)).where(SyncRun.status == "queued")
    ).one()
    leased = session.scalar(
        select(func.count()).select_from(MicrosoftTenant).where(MicrosoftTenant.lease_expires_at > now)
    )
    detail = f"{waiting} runs are waiting, {leased} Microsoft tenants are being synced."
    if waiting and oldest is not None and (now - oldest).total_seconds() > WAITS_SECONDS and not leased:
        advice = "Start `rollcall serve` with ROLLCALL_SCHEDULER=embedded."
        return Finding("Workers", "error", f"{detail} None has been started for hours.", advice)
    return Finding("Workers", "ok", detail)


def _folder(settings: Settings) -> Finding:
    folder = settings.data_dir
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return Finding(
            "Data folder", "error", f"{folder} cannot be written.", "Check ROLLCALL_DATA_DIR and its owner."
        )
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES:
        return Finding(
            "Data folder", "warning", f"{free // 1_000_000} MB are free.", "Free some space on the disk."
        )
    return Finding("Data folder", "ok", f"{free // 1_000_000:,} MB are free.")


def _microsoft(settings: Settings, now: datetime, ask: Callable[[str], Reached]) -> Iterator[Finding]:
    microsoft_cloud = cloud(DEFAULT, login_url=settings.login_url, graph_url=settings.graph_url)
    clocks = []
    for name, url in (
        ("Microsoft sign-in", microsoft_cloud.login_url),
        ("Microsoft Graph", microsoft_cloud.graph_url),
    ):
        reached = ask(url)
        if reached.at is not None:
            clocks.append(reached.at)
        yield _reached(name, url, reached)
    if not clocks:
        yield Finding(
            "Clock",
            "warning",
            "Microsoft could not be asked for the time.",
            "Compare it with another machine.",
        )
        return
    off = max(abs((now.replace(tzinfo=UTC) - at).total_seconds()) for at in clocks)
    if off > CLOCK_SECONDS:
        yield Finding(
            "Clock",
            "error",
            f"It is {off:.0f} seconds off.",
            "Set this machine's clock; let it follow a time server.",
        )
    else:
        yield Finding("Clock", "ok", f"Within {max(off, 1):.0f} seconds of Microsoft's.")


def _reached(name: str, url: str, reached: Reached) -> Finding:
    if not reached.problem:
        return Finding(name, "ok", f"{url} answers.")
    if reached.is_proxy:
        advice = "Check HTTPS_PROXY and NO_PROXY."
    elif reached.is_certificate:
        advice = "Set REQUESTS_CA_BUNDLE to the certificate authorities of the network."
    else:
        advice = "Allow HTTPS to this address, or set HTTPS_PROXY."
    return Finding(name, "error", f"{url} cannot be reached: {reached.problem}.", advice)


def _proxies(settings: Settings) -> Finding:
    count = settings.proxy_count
    if not settings.base_url:
        return Finding(
            "Public address",
            "warning",
            "ROLLCALL_BASE_URL is not set.",
            "Set it to the address that people open.",
        )
    if not settings.is_https:
        return Finding(
            "Public address",
            "warning",
            f"{settings.base_url} is not encrypted.",
            "Put a reverse proxy that ends TLS in front, and set ROLLCALL_BASE_URL to its address.",
        )
    return Finding("Public address", "ok", f"{settings.base_url}. Reverse proxies in front: {count}.")
