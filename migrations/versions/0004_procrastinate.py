"""Make Procrastinate's tables, which keep the jobs of ROLLCALL_SCHEDULER=distributed (decision 009).

On PostgreSQL, where the library is installed; otherwise nothing, and ``rollcall db upgrade`` makes them when it is.
"""

from alembic import op

from portal.operations import job_tables

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade():
    job_tables.create(op.get_bind())


def downgrade():
    job_tables.drop(op.get_bind())
