"""Index the sign-in names of people with their other words: a search asks for both, so PostgreSQL went by neither.

Where it has pg_trgm; SQLite's index of words has them.
"""

import sqlalchemy as sa
from alembic import op

from portal.models import words

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

DROP = "DROP INDEX IF EXISTS ix_end_users_words"


def upgrade():
    if _is_postgres():
        op.execute(DROP)
        words.create(op.get_bind())


def downgrade():
    if _is_postgres():
        op.execute(DROP)
        if op.get_bind().scalar(sa.text("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")):
            op.execute("CREATE INDEX ix_end_users_words ON end_users USING gin (search_text gin_trgm_ops)")


def _is_postgres():
    return op.get_bind().dialect.name == "postgresql"
