"""Alembic's entry. ``portal.operations.schema`` hands in the connection; run by hand it uses ROLLCALL_DATABASE_URL."""

from alembic import context

from portal.config import load
from portal.models import Base
from portal.operations import schema


def run(connection):
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        include_name=schema.is_compared,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    import sqlalchemy

    with sqlalchemy.create_engine(load().database_url).begin() as fresh:
        run(fresh)
