"""a department is one word of the index of words, which is filled again"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade():
    _empty()


def downgrade():
    _empty()


def _empty():
    if sa.inspect(op.get_bind()).has_table("people_words"):
        op.execute("INSERT INTO people_words(people_words) VALUES ('delete-all')")
        op.execute("UPDATE end_users SET search_row = NULL WHERE search_row IS NOT NULL")
