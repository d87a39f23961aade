"""compare the mirror with the End Users in their indexes alone"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade():
    op.create_index(
        "ix_directory_users_keys",
        "directory_users",
        [
            "microsoft_tenant_id",
            "object_id",
            "content_hash",
            "email_key",
            "presence",
            "account_enabled",
            "is_agent",
            "problem",
        ],
    )
    op.create_index(
        "ix_end_users_keys",
        "end_users",
        [
            "microsoft_tenant_id",
            "object_id",
            "organization_id",
            "applied_hash",
            "email_key",
            "microsoft_status",
            "in_scope",
        ],
    )
    op.drop_index("ix_end_users_microsoft_tenant_id_object_id", table_name="end_users")


def downgrade():
    op.create_index(
        "ix_end_users_microsoft_tenant_id_object_id", "end_users", ["microsoft_tenant_id", "object_id"]
    )
    op.drop_index("ix_end_users_keys", table_name="end_users")
    op.drop_index("ix_directory_users_keys", table_name="directory_users")
