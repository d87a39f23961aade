"""The migrations build exactly what the models say, up and down, on SQLite and PostgreSQL."""

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from portal.clock import utcnow
from portal.extensions import tune_engine
from portal.models import Base
from portal.operations import job_tables, schema


def test_upgrade_builds_what_the_models_say_and_is_repeatable(engine):
    assert "rollcall db upgrade" in schema.pending(engine)
    schema.upgrade(engine)
    schema.upgrade(engine)
    assert schema.pending(engine) is None
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_name": schema.is_compared}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_P5_end_users_are_counted_along_their_shortest_index(tmp_path):
    """PostgreSQL keeps statistics and finds it by itself; SQLite takes the index that was made last."""
    engine = tune_engine(sa.create_engine(f"sqlite:///{tmp_path}/x.db"))
    schema.upgrade(engine)
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT count(*) FROM end_users WHERE organization_id = 'o'"
        ).one()
    engine.dispose()
    assert (
        plan.detail
        == "SEARCH end_users USING COVERING INDEX ix_end_users_organization_id (organization_id=?)"
    )


def test_downgrade_takes_everything_away_again(engine):
    schema.upgrade(engine)
    settings = schema.config()
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "base")
    assert set(sa.inspect(engine).get_table_names()) <= {"alembic_version"}


def test_the_tables_of_the_queue_are_what_the_pinned_library_has_and_go_without_a_trace(postgres_url):
    """What its migrations make one after the other, no newer one left out; a restore, which drops tables only, may come before."""
    engine = sa.create_engine(postgres_url)
    everything = sa.text(
        "SELECT p.oid::regprocedure::text, md5(pg_get_functiondef(p.oid)) FROM pg_proc p WHERE pronamespace = 'public'::regnamespace"
        " UNION ALL SELECT table_name, column_name || data_type || coalesce(column_default, '') FROM information_schema.columns"
        " WHERE table_schema = 'public' UNION ALL SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
        " UNION ALL SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
        " UNION ALL SELECT t.typname, e.enumlabel FROM pg_enum e JOIN pg_type t ON t.oid = enumtypid"
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        job_tables.create(connection)
        job_tables.create(connection)
        ours = set(map(tuple, connection.execute(everything)))
        job_tables.drop(connection)
        assert connection.execute(everything).all() == []
        files = sorted((job_tables.folder_of_sql() / "migrations").glob("*.sql"))
        assert files[-1].name == job_tables.LAST_FILE
        for file in files:
            connection.connection.cursor().execute(file.read_text())
        assert set(map(tuple, connection.execute(everything))) == ours
        job_tables.drop(connection)
    engine.dispose()


def test_S6_a_group_that_hides_its_members_keeps_that_in_a_column(engine):
    settings = schema.config()
    kinds = {"a": "Security", "b": "Microsoft 365, dynamic, hidden members"}
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "0006")
        metadata, rows = sa.MetaData(), []
        tenants = sa.Table("microsoft_tenants", metadata, autoload_with=connection)
        groups = sa.Table("directory_groups", metadata, autoload_with=connection)
        connection.execute(tenants.insert(), {**blank(tenants), "id": "m"})
        for object_id, kind in kinds.items():
            ids = {"id": object_id, "object_id": object_id, "microsoft_tenant_id": "m"}
            rows.append({**blank(groups), **ids, "kind": kind})
        connection.execute(groups.insert(), rows)
        command.upgrade(settings, "0007")
        found = connection.execute(
            sa.text("SELECT kind, hides_members FROM directory_groups ORDER BY object_id")
        )
        assert found.all() == [("Security", False), ("Microsoft 365, dynamic", True)]
        command.downgrade(settings, "0006")
        found = connection.scalars(sa.select(groups.c.kind).order_by(groups.c.object_id))
        assert found.all() == list(kinds.values())


def blank(table):
    """A value for each column that needs one."""
    kinds = {sa.DateTime: utcnow(), sa.Boolean: False, sa.Integer: 0, sa.JSON: {}}
    return {
        column.name: next((value for kind, value in kinds.items() if isinstance(column.type, kind)), "")
        for column in table.c
        if not column.nullable
    }


def test_R5_what_an_undo_did_becomes_codes_and_words_again(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/x.db")
    kept = {
        "undone": [
            "deleted again, as the run had created them",
            "details restored, linked as before, mark restored",
        ],
        "bad_record": ["details restored"],
    }
    settings = schema.config()
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, "0005")
        changes = sa.Table("sync_changes", sa.MetaData(), autoload_with=connection)
        for reason, notes in kept.items():
            rows = [
                {**blank(changes), "id": note, "object_id": note, "reason": reason, "note": note}
                for note in notes
            ]
            connection.execute(changes.insert(), rows)
        notes = sa.select(changes.c.note).order_by(changes.c.reason, changes.c.id)
        before = connection.scalars(notes).all()
        command.upgrade(settings, "0006")
        assert connection.scalars(notes).all() == ["details restored", "deleted", "details linked mark"]
        command.downgrade(settings, "0005")
        assert connection.scalars(notes).all() == before
