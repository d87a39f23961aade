"""One Organization under one Microsoft Tenant, a runner, and short words to look at what came of it."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import event, func, select, text

from portal.engine.records import FilterSpec
from portal.engine.scope import spec_to_json
from portal.extensions import mark_write
from portal.models import (
    Base,
    Change,
    Conflict,
    EndUser,
    MicrosoftTenant,
    Organization,
    SyncRun,
    Tenant,
    UserSync,
    new_id,
)
from portal.models.customers import refresh_search
from portal.worker.tenant_worker import TenantWorker
from tests.sync.directory import TENANT, Directory


def write_session(sessions):
    return mark_write(sessions())


START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class World:
    def __init__(self, sessions, directory=None, directory_id=TENANT, name="Reef"):
        self.sessions = sessions
        self.directory = directory or Directory()
        self.now = START
        self.stop = False
        self.commits = []
        with self.sessions() as session:
            mt = MicrosoftTenant(
                directory_id=directory_id, name="Fabrikam", connected_at=START, read_requested_at=None
            )
            session.add(mt)
            session.flush()
            tenant = Tenant(name=name, microsoft_tenant_id=mt.id, created_at=START)
            session.add(tenant)
            session.flush()
            organization = Organization(
                name=name, name_key=name.casefold(), tenant_id=tenant.id, created_at=START
            )
            session.add(organization)
            session.flush()
            self.tenant_id, self.organization_id = mt.id, organization.id
            session.commit()

    def worker(self):
        return TenantWorker(
            self.sessions, lambda _lease: self.directory, lambda: self.now, should_stop=lambda: self.stop
        )

    def watch(self, hook):
        """Call ``hook`` after a commit, with what the run in progress shows when that is news: "Applying 5", "Deciding 0"."""
        shown = []

        def look():
            with self.sessions() as session:
                run = session.execute(
                    select(SyncRun.phase, SyncRun.done).where(SyncRun.status == "running")
                ).first()
            label = f"{run.phase} {run.done}" if run else ""
            self.commits.append(label)
            if not shown or shown[-1] != label:
                shown.append(label)
                hook(label)

        self.watch_commits(look)

    def watch_commits(self, hook):
        """Call ``hook`` after every commit, once its connection is given back: where a process may stand still for long."""

        def committed(session):
            session.info["committed"] = True

        def ended(session, transaction):
            if transaction.parent is None and session.info.pop("committed", False):
                hook()

        self.unwatch()
        self._watching = {"after_commit": committed, "after_transaction_end": ended}
        for name, listener in self._watching.items():
            event.listen(self.sessions, name, listener)

    def unwatch(self):
        for name, listener in getattr(self, "_watching", {}).items():
            event.remove(self.sessions, name, listener)
        self._watching = {}

    def writing(self):
        return write_session(self.sessions)

    def enable(self, spec=FilterSpec(), **values):
        with self.sessions() as session:
            row = self._sync(session)
            if row is None:
                row = UserSync(organization_id=self.organization_id, generation=0)
                session.add(row)
            row.enabled, row.generation, row.initial_done_at = True, (row.generation or 0) + 1, None
            row.filters, row.enabled_at, row.updated_at = spec_to_json(spec), self.now, self.now
            row.add_disabled_accounts, row.only_licensed = spec.add_disabled_accounts, spec.only_licensed
            for name, value in values.items():
                setattr(row, name, value)
            session.commit()

    def disable(self):
        with write_session(self.sessions) as session:
            row = self._sync(session)
            row.enabled, row.generation = False, row.generation + 1
            session.commit()

    def queue(self, trigger="hourly", lane="hourly", **values):
        with self.sessions() as session:
            sync = self._sync(session)
            run = SyncRun(
                id=new_id(),
                organization_id=self.organization_id,
                microsoft_tenant_id=self.tenant_id,
                generation=sync.generation if sync else 0,
                trigger=trigger,
                lane=lane,
                created_at=self.now,
                **values,
            )
            session.add(run)
            session.commit()
            return run.id

    def work(self, lanes=("hourly", "delayed"), owner="me"):
        self.now += timedelta(minutes=5)
        return self.worker().run_tenant(self.tenant_id, owner, lanes)

    def sync(self, trigger="hourly", lane="hourly", *, anew=False, **values):
        """One run. anew: it decides again, although nothing changed."""
        if anew:
            with self.writing() as session:
                self._sync(session).settled_state = None
                session.commit()
        run_id = self.queue(trigger, lane, **values)
        self.work()
        return self.run(run_id)

    def run(self, run_id):
        with self.sessions() as session:
            return session.get_one(SyncRun, run_id)

    def user_sync(self):
        with self.sessions() as session:
            return self._sync(session)

    def tenant(self):
        with self.sessions() as session:
            return session.get_one(MicrosoftTenant, self.tenant_id)

    def tenant_of(self, session):
        return session.get_one(MicrosoftTenant, self.tenant_id)

    def person(self, name, email, **values):
        with self.sessions() as session:
            row = EndUser(
                id=new_id(),
                organization_id=self.organization_id,
                display_name=name,
                email=email,
                source="manual",
                created_at=self.now,
                updated_at=self.now,
            )
            for key, value in values.items():
                setattr(row, key, value)
            refresh_search(row)
            session.add(row)
            session.commit()
            return row.id

    def edit(self, who, /, **values):
        with self.sessions() as session:
            row = session.scalars(select(EndUser).where(EndUser.email_key == who)).one()
            for key, value in values.items():
                setattr(row, key, value)
            refresh_search(row)
            session.commit()

    def people(self):
        """email → (display name, department, link status, object id, in scope)."""
        with self.sessions() as session:
            rows = session.execute(
                select(
                    EndUser.email,
                    EndUser.display_name,
                    EndUser.department,
                    EndUser.microsoft_status,
                    EndUser.object_id,
                    EndUser.in_scope,
                )
            )
            return {
                row.email: (
                    row.display_name,
                    row.department,
                    row.microsoft_status if row.object_id else None,
                    row.object_id,
                    row.in_scope,
                )
                for row in rows
            }

    def links(self):
        """object id → the End User linked to it."""
        with self.sessions() as session:
            return {
                row.object_id: row
                for row in session.scalars(select(EndUser).where(EndUser.object_id.is_not(None)))
            }

    def count(self, model=EndUser):
        with self.sessions() as session:
            return session.scalar(select(func.count()).select_from(model))

    def changes(self, run_id):
        with self.sessions() as session:
            rows = session.scalars(select(Change).where(Change.run_id == run_id))
            return {row.object_id: row for row in rows}

    def conflicts(self):
        with self.sessions() as session:
            return list(session.scalars(select(Conflict).where(Conflict.resolved_at.is_(None))))

    def dump(self, *tables):
        """Every row of the named tables (all when none is named), for comparing before and after."""
        with self.sessions() as session:
            found = {}
            for table in Base.metadata.sorted_tables:
                if not tables or table.name in tables:
                    found[table.name] = sorted(map(repr, session.execute(table.select())))
            return found

    def end_state(self):
        """What people see, without ids and times: two runs that end alike have the same."""
        with self.sessions() as session:
            people = session.execute(text("SELECT * FROM end_users")).mappings().all()
            drop = {
                "id",
                "organization_id",
                "microsoft_tenant_id",
                "created_at",
                "updated_at",
                "linked_at",
                "linked_by_run_id",
                "created_by_run_id",
                "edited_at",
            }
            shown = [sorted((k, str(v)) for k, v in row.items() if k not in drop) for row in people]
            conflicts = [(c.kind, c.object_id, c.resolution) for c in session.scalars(select(Conflict))]
            return sorted(map(repr, shown)), sorted(map(repr, conflicts))

    def _sync(self, session):
        return session.scalars(
            select(UserSync).where(UserSync.organization_id == self.organization_id)
        ).one_or_none()


__all__ = ["START", "World"]
