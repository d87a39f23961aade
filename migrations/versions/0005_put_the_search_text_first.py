"""Put the search text first in the index that quick search reads from end to end, a sixth faster to read so

The shortest index of End Users becomes the newest: among indexes that would do, SQLite counts along the newest one.
"""

from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

TABLE, SEARCH, SHORTEST = 'end_users', 'ix_end_users_search', 'ix_end_users_organization_id'
FILTERS = ['microsoft_status', 'microsoft_licensed', 'microsoft_mfa', 'microsoft_in_scope', 'source']


def remake(columns):
    op.drop_index(SEARCH, TABLE)
    op.create_index(SEARCH, TABLE, columns)
    op.drop_index(SHORTEST, TABLE)
    op.create_index(SHORTEST, TABLE, ['organization_id'])


def upgrade():
    remake(['organization_id', 'search_text', *FILTERS])


def downgrade():
    remake(['organization_id', *FILTERS, 'search_text'])
