"""Sync Runs: list, changes, undo, conflicts, and who takes whom (P8, P13, R5, M7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, or_, select

from portal import audit, csvio, people_version
from portal.clock import utcnow
from portal.end_users.service import product_names
from portal.engine import explain, undo
from portal.engine.records import Action, Reason
from portal.engine.undo_run import finish
from portal.errors import Invalid, NotFound, Refused
from portal.extensions import db
from portal.listing import Listing, ListSpec, contains_text, fetch
from portal.locks import lock
from portal.microsoft import service as microsoft
from portal.models import (
    ACTIVE,
    Change,
    Conflict,
    DirectoryUser,
    EndUser,
    MicrosoftTenant,
    Organization,
    SyncRun,
    UserSync,
)
from portal.runs import history, settlement
from portal.runs.presenters import shown_value
from portal.user_sync.documents import run_document

STATUSES = ("queued", "running", "succeeded", "partial", "failed", "held", "cancelled")
TROUBLED = ("failed", "partial", "held")
TAKEN = ("none", "one", "several")
URGENT_ROWS = 30
CSV_ROWS = 100_000

RUNS = ListSpec(
    sorts={
        "created_at": (SyncRun.created_at,),
        "started_at": (SyncRun.started_at,),
        "finished_at": (SyncRun.finished_at,),
        "status": (SyncRun.status,),
    },
    default_sort="-created_at",
    filters={
        "organization_id": None,
        "microsoft_tenant_id": None,
        "status": STATUSES,
        "trigger": ("initial", "hourly", "manual"),
    },
)
CHANGES = ListSpec(
    sorts={"display_name": (Change.display_name,), "decision": (Change.decision,), "at": (Change.at,)},
    default_sort="display_name",
    filters={
        "decision": tuple(str(action) for action in Action if action is not Action.LEAVE),
        "state": ("applied", "held", "dismissed"),
        "reason": tuple(str(reason) for reason in Reason),
        "end_user_id": None,
        "object_id": None,
    },
)
CONFLICTS = ListSpec(
    sorts={"created_at": (Conflict.created_at,), "email": (Conflict.email,), "kind": (Conflict.kind,)},
    default_sort="created_at",
    filters={"kind": None, "state": ("open", "resolved")},
)
COVERAGE = ListSpec(
    sorts={
        "display_name": (DirectoryUser.display_name,),
        "email": (DirectoryUser.email_key,),
        "user_principal_name": (DirectoryUser.user_principal_name,),
    },
    default_sort="display_name",
    filters={"taken": TAKEN, "not_in": None},  # not_in: an Organization that does not take them
)

to_document = run_document


def runs(asked: Listing, *, needing_attention: bool = False) -> Listing:
    """One page of runs, newest first; only those that did not simply succeed when ``needing_attention``."""
    statement = select(SyncRun)
    if needing_attention:
        statement = statement.where(SyncRun.status.in_(TROUBLED))
    for name in ("organization_id", "microsoft_tenant_id", "status", "trigger"):
        if name in asked.filters:
            statement = statement.where(getattr(SyncRun, name) == asked.filters[name])
    if asked.q:
        named = select(Organization.id).where(contains_text(asked.q, Organization.name))
        statement = statement.where(SyncRun.organization_id.in_(named))
    return fetch(db.session(), statement, asked, RUNS, tie=SyncRun.id)


def urgent_runs() -> list[SyncRun]:
    """What waits for a decision, runs, or waits for its turn, in this order; the first few."""
    waiting = select(UserSync.hold_run_id).where(UserSync.hold_run_id.is_not(None))
    rank = case((SyncRun.status == "held", 0), (SyncRun.status == "running", 1), else_=2)
    statement = (
        select(SyncRun)
        .where(or_(SyncRun.status.in_(("running", "queued")), SyncRun.id.in_(waiting)))
        .order_by(rank, SyncRun.created_at)
        .limit(URGENT_ROWS)
    )
    return list(db.session.scalars(statement))


def running_number() -> int:
    """How many runs are under way."""
    return (
        db.session.scalar(select(func.count()).select_from(SyncRun).where(SyncRun.status == "running")) or 0
    )


def organization_names(rows: Iterable[SyncRun]) -> dict[str, str]:
    """Organization id -> name of these runs."""
    ids = {row.organization_id for row in rows}
    found = db.session.execute(select(Organization.id, Organization.name).where(Organization.id.in_(ids)))
    return {organization_id: name for organization_id, name in found}


def kinds(run: SyncRun) -> dict[tuple[str, str], int]:
    """(decision, state) -> number of people of a run."""
    rows = db.session.execute(
        select(Change.decision, Change.state, func.count())
        .where(Change.run_id == run.id, Change.state != "staged")
        .group_by(Change.decision, Change.state)
    )
    return {(decision, state): number for decision, state, number in rows}


def only_person(run: SyncRun) -> DirectoryUser | None:
    """The Microsoft user that a run for one person is for; None for a run of all, or when they are gone."""
    if run.only_object_id is None:
        return None
    return db.session.scalar(
        select(DirectoryUser).where(
            DirectoryUser.microsoft_tenant_id == run.microsoft_tenant_id,
            DirectoryUser.object_id == run.only_object_id,
        )
    )


def undone(run: SyncRun) -> dict[str, int]:
    """What an undo did (R5): how many End Users it deleted, and how many it put back."""
    is_deleted = Change.note == undo.DELETED
    rows = db.session.execute(
        select(is_deleted, func.count()).where(Change.run_id == run.id).group_by(is_deleted)
    )
    found = {bool(deleted): number for deleted, number in rows}
    return {"deleted": found.get(True, 0), "restored": found.get(False, 0)}


def emails(rows: Iterable[Change]) -> dict[str, str]:
    """End User id -> e-mail, of those who still exist."""
    ids = {row.end_user_id for row in rows if row.end_user_id}
    found = db.session.execute(select(EndUser.id, EndUser.email).where(EndUser.id.in_(ids)))
    return {end_user_id: email for end_user_id, email in found}


def held_emails(run: SyncRun, rows: Sequence[Change]) -> dict[str, str]:
    """Object id -> the e-mail of those held back: the End User's, or Microsoft's where one would be made."""
    known = emails(rows)
    new = [row.object_id for row in rows if row.end_user_id not in known]
    found = db.session.execute(
        select(DirectoryUser.object_id, DirectoryUser.email).where(
            DirectoryUser.microsoft_tenant_id == run.microsoft_tenant_id, DirectoryUser.object_id.in_(new)
        )
    )
    return {
        **{object_id: email for object_id, email in found},
        **{row.object_id: known[row.end_user_id] for row in rows if row.end_user_id in known},
    }


CSV_COLUMNS = ("display_name", "decision", "state", "reason", "field", "old", "new", "object_id", "at")


def changes_csv(run: SyncRun, asked: Listing) -> Iterator[str]:
    """The filtered changes, one line per changed field, as a spreadsheet takes them harmlessly (G7)."""
    found = changes(run, replace(asked, page=1, per_page=CSV_ROWS))
    return csvio.write(CSV_COLUMNS, _csv_rows(found, product_names([run.microsoft_tenant_id or ""])))


def conflict_questions(
    organization: Organization, rows: Sequence[Conflict]
) -> dict[str, settlement.Question]:
    """Conflict id -> both sides, and the End Users who may be meant (M7)."""
    return settlement.questions(db.session(), organization, rows)


def conflict_choices(rows: Iterable[Conflict]) -> dict[str, EndUser]:
    """End User id -> the End User who was chosen when a conflict was settled (M7), of those who still exist."""
    ids = {row.resolved_end_user_id for row in rows if row.resolution == "link"}
    return {row.id: row for row in db.session.scalars(select(EndUser).where(EndUser.id.in_(ids)))}


def changes(run: SyncRun, asked: Listing) -> Listing:
    """One page of what a run did per person; what is staged and not published yet is not shown (T3)."""
    statement = select(Change).where(Change.run_id == run.id, Change.state != "staged")
    for name in ("decision", "state", "reason", "end_user_id", "object_id"):
        if name in asked.filters:
            statement = statement.where(getattr(Change, name) == asked.filters[name])
    if asked.q:
        by_email = select(DirectoryUser.object_id).where(
            DirectoryUser.microsoft_tenant_id == run.microsoft_tenant_id,
            contains_text(asked.q, DirectoryUser.email_key),
        )
        named_so = contains_text(asked.q, Change.display_name)
        statement = statement.where(or_(named_so, Change.object_id.in_(by_email)))
    return fetch(db.session(), statement, asked, CHANGES, tie=Change.id)


def change_document(row: Change) -> dict[str, Any]:
    """One person's part of a run; ``reason`` is a sentence."""
    return {
        "end_user_id": row.end_user_id,
        "object_id": row.object_id,
        "display_name": row.display_name,
        "decision": row.decision,
        "reason": sentence_of(row),
        "reason_code": row.reason,
        "state": row.state,
        "fields": row.fields,
        "at": row.at,
    }


def sentence_of(row: Change) -> str:
    """Why, in words; an undo's own changes say what was taken back."""
    if row.reason == "undone":
        return f"Undone: {row.note}."
    return explain.reason_sentence(row.reason, row.note)


def plan_undo(run: SyncRun) -> dict[str, Any]:
    """What an undo of ``run`` would restore and what it would spare, by name; changes nothing (R5)."""
    _undoable(run)
    plan = undo.plan_undo(db.session(), run.id)
    return {"restored": list(plan.restored), "spared": list(plan.spared)}


def request_undo(run: SyncRun) -> SyncRun:
    """Queue the undo of ``run``; it runs like a sync, one at a time per Organization. The caller commits and wakes.

    Where the Microsoft Tenant was removed nothing waits in its queue any more: then it is done at once.
    Raises Refused for a run that is not over, or of which an earlier undo left nothing to take back.
    """
    lock_run(run)
    _undoable(run)
    present = db.session.scalar(
        select(SyncRun).where(SyncRun.undoes_run_id == run.id, SyncRun.status.in_(ACTIVE)).limit(1)
    )
    if present is not None:
        return present
    _refuse_undone(run)
    organization = organization_of(run)
    sync = db.session.scalar(select(UserSync).where(UserSync.organization_id == run.organization_id))
    row = SyncRun(
        organization_id=run.organization_id,
        microsoft_tenant_id=run.microsoft_tenant_id,
        generation=0 if sync is None else sync.generation,
        kind="undo",
        undoes_run_id=run.id,
        trigger="manual",
        started_by=audit.current_actor().name,
        created_at=utcnow(),
    )
    db.session.add(row)
    audit.record(
        db.session(),
        "run_undone",
        object_type="sync_run",
        object_id=run.id,
        organization=organization.name,
        run_id=run.id,
    )
    db.session.flush()
    tenant = db.session.get(MicrosoftTenant, run.microsoft_tenant_id or "")
    if tenant is None or tenant.is_removed:
        _undo_now(row, run)
    return row


def _refuse_undone(run: SyncRun) -> None:
    """Another undo would do nothing. What was spared may be free by now, so it is looked at and not only remembered."""
    earlier = select(SyncRun.id).where(SyncRun.undoes_run_id == run.id, SyncRun.status == "succeeded")
    done = db.session.scalar(earlier.order_by(SyncRun.created_at.desc()).limit(1))
    if done is not None and not undo.plan_undo(db.session(), run.id).restored:
        raise Refused("This run was undone already; nothing is left to restore.", link=f"/sync-runs/{done}")


def _undo_now(row: SyncRun, run: SyncRun) -> None:
    now = utcnow()
    done = undo.apply_undo(db.session(), row.id, run.id, row.organization_id, now)
    row.started_at = row.finished_at = now
    finish(row, len(done.restored), done.spared)
    db.session.flush()
    history.record_finished(db.session(), row)
    db.session.expire_all()


def conflicts(organization: Organization, asked: Listing) -> Listing:
    """One page of an Organization's conflicts; the open ones unless ``state=resolved`` is asked for."""
    statement = select(Conflict).where(Conflict.organization_id == organization.id)
    is_resolved = asked.filters.get("state") == "resolved"
    settled = Conflict.resolved_at.is_not(None)
    statement = statement.where(settled if is_resolved else ~settled)
    if "kind" in asked.filters:
        statement = statement.where(Conflict.kind == asked.filters["kind"])
    if asked.q:
        statement = statement.where(contains_text(asked.q, Conflict.display_name, Conflict.email))
    return fetch(db.session(), statement, asked, CONFLICTS, tie=Conflict.id)


def conflict_documents(rows: Sequence[Conflict]) -> list[dict[str, Any]]:
    """Conflicts of one Organization as interfaces.md shows them."""
    if not rows:
        return []
    organization = db.session.get_one(Organization, rows[0].organization_id)
    found = conflict_questions(organization, rows)
    return [_conflict_document(row, found[row.id]) for row in rows]


def _conflict_document(row: Conflict, question: settlement.Question) -> dict[str, Any]:
    return {
        "id": row.id,
        "organization_id": row.organization_id,
        "kind": row.kind,
        "reason": row.reason,
        "object_id": row.object_id,
        "display_name": row.display_name,
        "email": row.email,
        "end_user_id": row.end_user_id,
        "other_object_id": row.other_object_id,
        "run_id": row.run_id,
        "created_at": row.created_at,
        "resolution": row.resolution,
        "resolved_end_user_id": row.resolved_end_user_id if row.resolution == "link" else None,
        "resolved_at": row.resolved_at,
        "resolved_by": row.resolved_by,
        "sides": [side.document() for side in question.sides],
    }


def resolve(row: Conflict, action: str, end_user_id: str | None = None) -> None:
    """Settle a conflict (M7): ``link`` gives the End User to this Microsoft user, ``ignore`` leaves it until a side changes.

    The next run links; whoever holds either of the two is unlinked now. Raises Invalid for a bad action or End User, Refused
    when it is settled already, RetryLater before the tenant's first read. The caller commits, or rolls back.
    """
    lock_run(row)
    if row.resolved_at is not None:
        raise Refused("This conflict is settled already.")
    if action not in {"link", "ignore"}:
        raise Invalid({"action": ["One of: link, ignore."]})
    if action == "ignore" and end_user_id is not None:
        raise Invalid({"end_user_id": ["Only link takes an End User."]})
    row.resolution = action
    row.resolved_at = utcnow()
    row.resolved_by = audit.current_actor().name
    if action == "link":
        organization = db.session.get_one(Organization, row.organization_id)
        chosen = _chosen(row, end_user_id)
        _require_known(row, organization)
        settlement.give(db.session(), row, organization, chosen)
    audit.record(
        db.session(),
        "conflict_resolved",
        object_type="conflict",
        object_id=row.id,
        kind=row.kind,
        settlement=action,
    )
    people_version.touch(db.session(), [row.organization_id])  # a run that goes on decides by it too
    db.session.flush()


def reopen(row: Conflict) -> None:
    """Take a settlement back: Links are as before, and the next run says whether it still is a conflict (M7).

    Raises Refused when nobody settled it. The caller commits.
    """
    lock_run(row)
    if row.resolution not in {"ignore", "link"}:
        raise Refused("Only a conflict that somebody settled can be opened again.")
    settlement.take_back(db.session(), row)
    audit.record(db.session(), "conflict_reopened", object_type="conflict", object_id=row.id, kind=row.kind)
    people_version.touch(db.session(), [row.organization_id])
    db.session.flush()


def coverage(microsoft_tenant: MicrosoftTenant, asked: Listing) -> Listing:
    """One page of a tenant's present users, each with the number of Organizations that take them (P13)."""
    taken = _takers(microsoft_tenant)
    statement: Select[Any] = select(DirectoryUser).where(
        DirectoryUser.microsoft_tenant_id == microsoft_tenant.id, DirectoryUser.presence == "present"
    )
    if "taken" in asked.filters:
        statement = statement.where(_is_taken(taken, asked.filters["taken"]))
    if "not_in" in asked.filters:
        its = select(EndUser.object_id).where(
            EndUser.organization_id == asked.filters["not_in"],
            EndUser.microsoft_tenant_id == microsoft_tenant.id,
            EndUser.in_scope.is_(True),
        )
        statement = statement.where(DirectoryUser.object_id.not_in(its))
    if asked.q:
        names = DirectoryUser.display_name, DirectoryUser.email_key, DirectoryUser.user_principal_name
        statement = statement.where(contains_text(asked.q, *names))
    return fetch(db.session(), statement, asked, COVERAGE, tie=DirectoryUser.object_id)


def coverage_counts(microsoft_tenant: MicrosoftTenant) -> dict[str, int]:
    """How many present users are taken by none, one and several Organizations."""
    taken = _takers(microsoft_tenant)
    count = select(func.count()).select_from(DirectoryUser)
    present = count.where(
        DirectoryUser.microsoft_tenant_id == microsoft_tenant.id, DirectoryUser.presence == "present"
    )
    return {word: db.session.scalar(present.where(_is_taken(taken, word))) or 0 for word in TAKEN}


def coverage_documents(microsoft_tenant: MicrosoftTenant, rows: list[DirectoryUser]) -> list[dict[str, Any]]:
    """Users with the Organizations that take them, by name."""
    ids = [row.object_id for row in rows]
    takers: dict[str, list[dict[str, str]]] = {}
    statement = (
        select(EndUser.object_id, Organization.id, Organization.name, EndUser.id)
        .join(Organization, Organization.id == EndUser.organization_id)
        .where(
            EndUser.microsoft_tenant_id == microsoft_tenant.id,
            EndUser.object_id.in_(ids),
            EndUser.in_scope.is_(True),  # whom the filters let go is taken no more (L3)
        )
        .order_by(Organization.name)
    )
    for object_id, organization_id, name, end_user_id in db.session.execute(statement):
        takers.setdefault(str(object_id), []).append(
            {"id": organization_id, "name": name, "end_user_id": end_user_id}
        )
    found = []
    for row in rows:
        organizations = takers.get(row.object_id, [])
        found.append(
            {
                "object_id": row.object_id,
                "user_principal_name": row.user_principal_name,
                "display_name": row.display_name,
                "email": row.email,
                "user_type": row.user_type,
                "account_enabled": row.account_enabled,
                "taken": TAKEN[min(len(organizations), 2)],
                "organizations": organizations,
            }
        )
    return found


def _csv_rows(found: Listing, names: Mapping[str, str]) -> Iterator[tuple[object, ...]]:
    for row in found.items:
        head = (row.display_name, row.decision, row.state, sentence_of(row))
        for entry in row.fields or [{"field": "", "old": "", "new": ""}]:
            of = csvio.Phone if entry["field"] in csvio.PHONE_COLUMNS else str
            values = [entry["field"], of(entry["old"]), of(entry["new"])]
            if entry["field"] == "licenses":
                values[1:] = (shown_value("licenses", value, names) for value in values[1:])
            yield (*head, *values, row.object_id, f"{row.at:%Y-%m-%dT%H:%M:%SZ}")


def _takers(microsoft_tenant: MicrosoftTenant) -> Select[Any]:
    return (
        select(EndUser.object_id)
        .where(EndUser.microsoft_tenant_id == microsoft_tenant.id, EndUser.in_scope.is_(True))
        .group_by(EndUser.object_id)
    )


def _is_taken(takers: Select[Any], word: str) -> ColumnElement[bool]:
    if word == "none":
        return ~DirectoryUser.object_id.in_(takers)
    number = func.count()
    return DirectoryUser.object_id.in_(takers.having(number == 1 if word == "one" else number > 1))


def lock_run(row: SyncRun | Conflict) -> None:
    """What is decided about an Organization's runs and conflicts is decided one after the other, also by a run that ends."""
    lock(db.session(), Organization, row.organization_id)
    switch = select(UserSync.id).where(UserSync.organization_id == row.organization_id)
    db.session.execute(switch.with_for_update(key_share=True))
    lock(db.session(), type(row), row.id)


def _undoable(run: SyncRun) -> None:
    if run.status in ACTIVE:
        raise Refused("This run is not over yet. Wait for its end, or disable the User Sync to stop it.")


def organization_of(run: SyncRun) -> Organization:
    """The Organization of a run. Raises NotFound when it was deleted."""
    found = db.session.get(Organization, run.organization_id)
    if found is None:
        raise NotFound("The Organization of this run was deleted.")
    return found


def _chosen(row: Conflict, end_user_id: str | None) -> EndUser:
    if not end_user_id:
        raise Invalid({"end_user_id": ["Name the End User who is meant."]})
    found = db.session.get(EndUser, end_user_id)
    if found is None or found.organization_id != row.organization_id:
        raise Invalid({"end_user_id": ["This Organization has no such End User."]})
    return found


def _require_known(row: Conflict, organization: Organization) -> None:
    """Before a tenant's first read nobody knows whether its user still exists. Raises RetryLater."""
    tenant_id = organization.tenant.microsoft_tenant_id
    tenant = db.session.get(MicrosoftTenant, tenant_id) if tenant_id is not None else None
    if tenant is not None and db.session.get(DirectoryUser, (tenant.id, row.object_id)) is None:
        microsoft.require_read(tenant)
