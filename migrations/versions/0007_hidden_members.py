"""that a group hides its members is a column, not the end of its kind; a phase that no run is in any more goes"""

from itertools import product

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

KINDS = [
    kind + more
    for kind, more in product(
        ("Security", "Microsoft 365", "Mail-enabled security", "Distribution"), ("", ", dynamic")
    )
]
OLD = {kind: f"{kind}, hidden members"[:40] for kind in KINDS}

groups = sa.table("directory_groups", sa.column("kind"), sa.column("hides_members"))
runs = sa.table("sync_runs", sa.column("phase"))


def upgrade():
    op.add_column(
        "directory_groups",
        sa.Column("hides_members", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    kinds = sa.case({old: kind for kind, old in OLD.items()}, value=groups.c.kind)
    op.execute(
        groups.update().where(groups.c.kind.in_(OLD.values())).values(kind=kinds, hides_members=sa.true())
    )
    op.execute(runs.update().where(runs.c.phase == "Staging").values(phase="Publishing"))


def downgrade():
    kinds = sa.case(OLD, value=groups.c.kind, else_=groups.c.kind)
    op.execute(groups.update().where(groups.c.hides_members).values(kind=kinds))
    op.drop_column("directory_groups", "hides_members")
