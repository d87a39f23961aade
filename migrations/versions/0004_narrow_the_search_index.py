"""Narrow the index that filters and quick search read from end to end: a third less to read without the id"""

from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

INDEX, TABLE = 'ix_end_users_search', 'end_users'
COLUMNS = [
    'organization_id',
    'microsoft_status',
    'microsoft_licensed',
    'microsoft_mfa',
    'microsoft_in_scope',
    'source',
    'search_text',
]


def upgrade():
    op.drop_index(INDEX, TABLE)
    op.create_index(INDEX, TABLE, COLUMNS)


def downgrade():
    op.drop_index(INDEX, TABLE)
    op.create_index(INDEX, TABLE, [*COLUMNS[:-1], 'id', COLUMNS[-1]])
