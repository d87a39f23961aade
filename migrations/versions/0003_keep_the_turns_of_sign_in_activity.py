"""Keep the turns of sign-in activity for all processes"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        'sign_in_turns',
        sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('turns', sa.JSON(), nullable=False),
        sa.Column('held_until', sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint('id', name='pk_sign_in_turns'),
    )
    op.add_column('microsoft_tenants', sa.Column('sign_ins_full_at', sa.DateTime(), nullable=True))


def downgrade():
    op.drop_column('microsoft_tenants', 'sign_ins_full_at')
    op.drop_table('sign_in_turns')
