"""Index the sign-in names of people with their other words: a search asks for both, so PostgreSQL went by neither.

Where it has pg_trgm; SQLite's index of words has them.
"""

from alembic import op

from portal.models import words

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade():
    _make("")


def downgrade():
    _make("end_users USING gin (search_text gin_trgm_ops)")


def _make(what):
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    op.execute("DROP INDEX IF EXISTS ix_end_users_words")
    if not what:
        words.create(connection)
    elif connection.exec_driver_sql("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'").scalar():
        op.execute(f"CREATE INDEX ix_end_users_words ON {what}")
