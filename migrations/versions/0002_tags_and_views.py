"""tags, saved views, natural order of names, and the indexes of words"""

import sqlalchemy as sa
from alembic import op

from portal.models import words
from portal.text import natural_key

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NAMED = ("tenants", "organizations", "microsoft_tenants")
ALL_BY = [
    "sort_name",
    "id",
    "organization_id",
    "mfa_registered",
    "microsoft_status",
    "last_sign_in_at",
    "is_licensed",
    "source",
]

QUIET = sa.text("""
UPDATE sync_runs SET is_notable = false
WHERE trigger = 'hourly' AND kind = 'sync' AND status = 'succeeded'
AND NOT EXISTS (SELECT 1 FROM sync_changes WHERE sync_changes.run_id = sync_runs.id AND decision <> 'skip')
""")


def upgrade():
    """Over 50 lines: one call for each table, column and index."""
    op.create_table(
        "tags",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("name_key", sa.String(length=150), nullable=False),
        sa.Column("sort_key", sa.String(length=400), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
        sa.UniqueConstraint("name_key", name=op.f("uq_tags_name_key")),
    )
    op.create_table(
        "organization_tags",
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("tag_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_organization_tags_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tag_id"], ["tags.id"], name=op.f("fk_organization_tags_tag_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("organization_id", "tag_id", name=op.f("pk_organization_tags")),
    )
    op.create_index(op.f("ix_organization_tags_tag_id"), "organization_tags", ["tag_id"])
    op.create_table(
        "saved_views",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("page", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("name_key", sa.String(length=240), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("is_shared", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_saved_views_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
        sa.UniqueConstraint(
            "account_id", "page", "name_key", name=op.f("uq_saved_views_account_id_page_name_key")
        ),
    )
    op.create_index(op.f("ix_saved_views_page_is_shared"), "saved_views", ["page", "is_shared"])
    for table in NAMED:
        op.add_column(table, sa.Column("sort_key", sa.String(length=400), nullable=False, server_default=""))
        _fill(table)
    op.add_column("end_users", sa.Column("search_row", sa.Integer(), nullable=True))
    op.create_index(op.f("ix_end_users_search_row"), "end_users", ["search_row"])
    op.create_index("ix_end_users_all", "end_users", ALL_BY)
    op.add_column("directory_users", sa.Column("search_row", sa.Integer(), nullable=True))
    op.create_index(op.f("ix_directory_users_search_row"), "directory_users", ["search_row"])
    op.add_column(
        "sync_runs", sa.Column("is_notable", sa.Boolean(), nullable=False, server_default=sa.true())
    )
    op.execute(QUIET)
    op.create_index(op.f("ix_sync_runs_is_notable_created_at"), "sync_runs", ["is_notable", "created_at"])
    words.create(op.get_bind())


def downgrade():
    words.drop(op.get_bind())
    op.drop_index(op.f("ix_sync_runs_is_notable_created_at"), table_name="sync_runs")
    op.drop_column("sync_runs", "is_notable")
    op.drop_index(op.f("ix_directory_users_search_row"), table_name="directory_users")
    op.drop_column("directory_users", "search_row")
    op.drop_index("ix_end_users_all", table_name="end_users")
    op.drop_index(op.f("ix_end_users_search_row"), table_name="end_users")
    op.drop_column("end_users", "search_row")
    for table in NAMED:
        op.drop_column(table, "sort_key")
    op.drop_table("saved_views")
    op.drop_table("organization_tags")
    op.drop_table("tags")


def _fill(table):
    connection = op.get_bind()
    rows = sa.table(table, sa.column("id"), sa.column("name"), sa.column("sort_key"))
    for row_id, name in connection.execute(sa.select(rows.c.id, rows.c.name)).all():
        connection.execute(rows.update().where(rows.c.id == row_id).values(sort_key=natural_key(name)))
