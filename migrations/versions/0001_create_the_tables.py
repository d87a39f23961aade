"""create the tables

Over 350 lines: all tables of the first version are made at once, each column on a line of its own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    """Over 50 lines: one call for each table."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("password_hash", sa.String(length=256), nullable=True),
        sa.Column("totp_secret", sa.Text(), nullable=True),
        sa.Column("totp_last_step", sa.Integer(), nullable=True),
        sa.Column("microsoft_tid", sa.String(length=36), nullable=True),
        sa.Column("microsoft_oid", sa.String(length=36), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("theme", sa.String(length=10), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("last_sign_in_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("email", name=op.f("uq_accounts_email")),
        sa.UniqueConstraint(
            "microsoft_tid", "microsoft_oid", name=op.f("uq_accounts_microsoft_tid_microsoft_oid")
        ),
    )
    op.create_table(
        "audit_chain",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("anchor_number", sa.BigInteger(), nullable=False),
        sa.Column("anchor_hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_chain")),
    )
    op.create_table(
        "audit_events",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=320), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("object_type", sa.String(length=40), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("ip", sa.String(length=64), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
    )
    with op.batch_alter_table("audit_events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_events_action"), ["action"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_events_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_audit_events_number"), ["number"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_audit_events_object_type_object_id"), ["object_type", "object_id"], unique=False
        )

    op.create_table(
        "consent_requests",
        sa.Column("state_hash", sa.String(length=64), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("directory_id", sa.String(length=36), nullable=True),
        sa.Column("cloud", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("used_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_consent_requests")),
    )
    op.create_table(
        "microsoft_tenants",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("directory_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("cloud", sa.String(length=20), nullable=False),
        sa.Column("domains", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("problem_code", sa.String(length=64), nullable=True),
        sa.Column("problem_since", sa.DateTime(), nullable=True),
        sa.Column("connected_at", sa.DateTime(), nullable=False),
        sa.Column("checked_at", sa.DateTime(), nullable=True),
        sa.Column("checks", sa.JSON(), nullable=False),
        sa.Column("capabilities", sa.JSON(), nullable=False),
        sa.Column("relationship_ends_at", sa.DateTime(), nullable=True),
        sa.Column("users_count", sa.Integer(), nullable=False),
        sa.Column("read_requested_at", sa.DateTime(), nullable=True),
        sa.Column("last_synced_at", sa.DateTime(), nullable=True),
        sa.Column("last_full_read_at", sa.DateTime(), nullable=True),
        sa.Column("is_complete", sa.Boolean(), nullable=False),
        sa.Column("incomplete_reason", sa.Text(), nullable=True),
        sa.Column("failures_in_row", sa.Integer(), nullable=False),
        sa.Column("next_run_at", sa.DateTime(), nullable=True),
        sa.Column("throttled_until", sa.DateTime(), nullable=True),
        sa.Column("lease_owner", sa.String(length=64), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("mirror_version", sa.Integer(), nullable=False),
        sa.Column("agents_known", sa.Boolean(), nullable=False),
        sa.Column("slow_lease_owner", sa.String(length=64), nullable=True),
        sa.Column("slow_lease_expires_at", sa.DateTime(), nullable=True),
        sa.Column("slow_fence", sa.Integer(), nullable=False),
        sa.Column("slow_due_at", sa.DateTime(), nullable=True),
        sa.Column("sign_ins_at", sa.DateTime(), nullable=True),
        sa.Column("sign_ins_full_at", sa.DateTime(), nullable=True),
        sa.Column("mfa_at", sa.DateTime(), nullable=True),
        sa.Column("devices_at", sa.DateTime(), nullable=True),
        sa.Column("assets_assigned", sa.Integer(), nullable=False),
        sa.Column("slow_progress", sa.JSON(), nullable=False),
        sa.Column("slow_problems", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_microsoft_tenants")),
        sa.UniqueConstraint("directory_id", name=op.f("uq_microsoft_tenants_directory_id")),
    )
    with op.batch_alter_table("microsoft_tenants", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_microsoft_tenants_next_run_at"), ["next_run_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_microsoft_tenants_slow_due_at"), ["slow_due_at"], unique=False)

    op.create_table(
        "settings",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("updated_by", sa.String(length=320), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_settings")),
    )
    op.create_table(
        "sign_in_attempts",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(), nullable=False),
        sa.Column("locked_until", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_in_attempts")),
    )
    with op.batch_alter_table("sign_in_attempts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sign_in_attempts_last_at"), ["last_at"], unique=False)

    op.create_table(
        "sign_in_turns",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("turns", sa.JSON(), nullable=False),
        sa.Column("held_until", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_turns")),
    )
    op.create_table(
        "account_sessions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.Column("ip", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_account_sessions_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_account_sessions_token_hash")),
    )
    with op.batch_alter_table("account_sessions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_account_sessions_account_id"), ["account_id"], unique=False)

    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("hint", sa.String(length=16), nullable=False),
        sa.Column("owner_id", sa.String(length=36), nullable=True),
        sa.Column("created_by", sa.String(length=320), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
        sa.Column("last_used_at", sa.DateTime(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["accounts.id"], name=op.f("fk_api_tokens_owner_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("name", name=op.f("uq_api_tokens_name")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_tokens_token_hash")),
    )
    with op.batch_alter_table("api_tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_tokens_owner_id"), ["owner_id"], unique=False)

    op.create_table(
        "delta_cursors",
        sa.Column("microsoft_tenant_id", sa.String(length=36), nullable=False),
        sa.Column("resource", sa.String(length=40), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("obtained_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["microsoft_tenant_id"],
            ["microsoft_tenants.id"],
            name=op.f("fk_delta_cursors_microsoft_tenant_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("microsoft_tenant_id", "resource", name=op.f("pk_delta_cursors")),
    )
    op.create_table(
        "directory_groups",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("microsoft_tenant_id", sa.String(length=36), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("display_name", sa.String(length=1024), nullable=False),
        sa.Column("mail", sa.String(length=1024), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("is_deleted", sa.Boolean(), nullable=False),
        sa.Column("members_wanted_at", sa.DateTime(), nullable=True),
        sa.Column("members_read_at", sa.DateTime(), nullable=True),
        sa.Column("members_stale", sa.Boolean(), nullable=False),
        sa.Column("member_count", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["microsoft_tenant_id"],
            ["microsoft_tenants.id"],
            name=op.f("fk_directory_groups_microsoft_tenant_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_directory_groups")),
        sa.UniqueConstraint(
            "microsoft_tenant_id", "object_id", name=op.f("uq_directory_groups_microsoft_tenant_id_object_id")
        ),
    )
    op.create_table(
        "directory_users",
        sa.Column("microsoft_tenant_id", sa.String(length=36), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("row_hash", sa.String(length=40), nullable=False),
        sa.Column("content_hash", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("presence", sa.String(length=20), nullable=False),
        sa.Column("problem", sa.String(length=512), nullable=False),
        sa.Column("is_agent", sa.Boolean(), nullable=False),
        sa.Column("user_principal_name", sa.String(length=1024), nullable=False),
        sa.Column("display_name", sa.String(length=1024), nullable=False),
        sa.Column("first_name", sa.String(length=256), nullable=False),
        sa.Column("last_name", sa.String(length=256), nullable=False),
        sa.Column("email", sa.String(length=1024), nullable=False),
        sa.Column("email_key", sa.String(length=1024), nullable=False),
        sa.Column("domain", sa.String(length=1024), nullable=False),
        sa.Column("aliases", sa.Text(), nullable=False),
        sa.Column("phone", sa.String(length=256), nullable=False),
        sa.Column("mobile_phone", sa.String(length=256), nullable=False),
        sa.Column("street_address", sa.String(length=1024), nullable=False),
        sa.Column("city", sa.String(length=256), nullable=False),
        sa.Column("state", sa.String(length=256), nullable=False),
        sa.Column("postal_code", sa.String(length=64), nullable=False),
        sa.Column("country", sa.String(length=256), nullable=False),
        sa.Column("job_title", sa.String(length=256), nullable=False),
        sa.Column("department", sa.String(length=256), nullable=False),
        sa.Column("department_key", sa.String(length=768), nullable=False),
        sa.Column("office_location", sa.String(length=256), nullable=False),
        sa.Column("office_key", sa.String(length=768), nullable=False),
        sa.Column("user_type", sa.String(length=64), nullable=False),
        sa.Column("account_enabled", sa.Boolean(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=True),
        sa.Column("immutable_id", sa.String(length=256), nullable=False),
        sa.Column("license_sku_ids", sa.Text(), nullable=False),
        sa.Column("last_sign_in_at", sa.DateTime(), nullable=True),
        sa.Column("mfa_registered", sa.Boolean(), nullable=True),
        sa.Column("mfa_methods", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["microsoft_tenant_id"],
            ["microsoft_tenants.id"],
            name=op.f("fk_directory_users_microsoft_tenant_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("microsoft_tenant_id", "object_id", name=op.f("pk_directory_users")),
    )
    with op.batch_alter_table("directory_users", schema=None) as batch_op:
        batch_op.create_index(
            "ix_directory_users_keys",
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
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_directory_users_microsoft_tenant_id_email_key"),
            ["microsoft_tenant_id", "email_key"],
            unique=False,
        )

    op.create_table(
        "group_memberships",
        sa.Column("microsoft_tenant_id", sa.String(length=36), nullable=False),
        sa.Column("group_object_id", sa.String(length=64), nullable=False),
        sa.Column("user_object_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["microsoft_tenant_id"],
            ["microsoft_tenants.id"],
            name=op.f("fk_group_memberships_microsoft_tenant_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "microsoft_tenant_id", "group_object_id", "user_object_id", name=op.f("pk_group_memberships")
        ),
    )
    with op.batch_alter_table("group_memberships", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_group_memberships_microsoft_tenant_id_user_object_id"),
            ["microsoft_tenant_id", "user_object_id"],
            unique=False,
        )

    op.create_table(
        "invitations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("invited_by", sa.String(length=320), nullable=False),
        sa.Column("invited_by_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("used_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["invited_by_id"], ["accounts.id"], name=op.f("fk_invitations_invited_by_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_invitations_token_hash")),
    )
    with op.batch_alter_table("invitations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_invitations_email"), ["email"], unique=False)
        batch_op.create_index(batch_op.f("ix_invitations_invited_by_id"), ["invited_by_id"], unique=False)

    op.create_table(
        "managed_devices",
        sa.Column("microsoft_tenant_id", sa.String(length=36), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("user_object_id", sa.String(length=64), nullable=False),
        sa.Column("wifi_mac", sa.String(length=12), nullable=False),
        sa.Column("ethernet_mac", sa.String(length=12), nullable=False),
        sa.Column("ethernet_read_at", sa.DateTime(), nullable=True),
        sa.Column("last_sync_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["microsoft_tenant_id"],
            ["microsoft_tenants.id"],
            name=op.f("fk_managed_devices_microsoft_tenant_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("microsoft_tenant_id", "device_id", name=op.f("pk_managed_devices")),
    )
    op.create_table(
        "subscribed_skus",
        sa.Column("microsoft_tenant_id", sa.String(length=36), nullable=False),
        sa.Column("sku_id", sa.String(length=36), nullable=False),
        sa.Column("part_number", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("applies_to", sa.String(length=20), nullable=False),
        sa.Column("bought", sa.Integer(), nullable=False),
        sa.Column("assigned", sa.Integer(), nullable=False),
        sa.Column("service_plan_ids", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["microsoft_tenant_id"],
            ["microsoft_tenants.id"],
            name=op.f("fk_subscribed_skus_microsoft_tenant_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("microsoft_tenant_id", "sku_id", name=op.f("pk_subscribed_skus")),
    )
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("microsoft_tenant_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["microsoft_tenant_id"], ["microsoft_tenants.id"], name=op.f("fk_tenants_microsoft_tenant_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
        sa.UniqueConstraint("microsoft_tenant_id", name=op.f("uq_tenants_microsoft_tenant_id")),
    )
    op.create_table(
        "organizations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("name_key", sa.String(length=768), nullable=False),
        sa.Column("tenant_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("people_version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_organizations_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
        sa.UniqueConstraint("name_key", name=op.f("uq_organizations_name_key")),
    )
    with op.batch_alter_table("organizations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_organizations_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "conflicts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("display_name", sa.String(length=1024), nullable=False),
        sa.Column("email", sa.String(length=1024), nullable=False),
        sa.Column("end_user_id", sa.String(length=36), nullable=True),
        sa.Column("other_object_id", sa.String(length=64), nullable=True),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("resolution", sa.String(length=10), nullable=True),
        sa.Column("resolved_end_user_id", sa.String(length=36), nullable=True),
        sa.Column("resolved_at", sa.DateTime(), nullable=True),
        sa.Column("resolved_by", sa.String(length=320), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_conflicts_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conflicts")),
        sa.UniqueConstraint("organization_id", "key", name=op.f("uq_conflicts_organization_id_key")),
    )
    with op.batch_alter_table("conflicts", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_conflicts_organization_id_resolved_at"),
            ["organization_id", "resolved_at"],
            unique=False,
        )

    op.create_table(
        "end_users",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("display_name", sa.String(length=1024), nullable=False),
        sa.Column("sort_name", sa.String(length=200), nullable=False),
        sa.Column("first_name", sa.String(length=256), nullable=False),
        sa.Column("last_name", sa.String(length=256), nullable=False),
        sa.Column("email", sa.String(length=1024), nullable=False),
        sa.Column("email_key", sa.String(length=1024), nullable=True),
        sa.Column("phone", sa.String(length=256), nullable=False),
        sa.Column("mobile_phone", sa.String(length=256), nullable=False),
        sa.Column("street_address", sa.String(length=1024), nullable=False),
        sa.Column("city", sa.String(length=256), nullable=False),
        sa.Column("state", sa.String(length=256), nullable=False),
        sa.Column("postal_code", sa.String(length=64), nullable=False),
        sa.Column("country", sa.String(length=256), nullable=False),
        sa.Column("job_title", sa.String(length=256), nullable=False),
        sa.Column("department", sa.String(length=256), nullable=False),
        sa.Column("office_location", sa.String(length=256), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column("created_by_run_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("edited_at", sa.DateTime(), nullable=True),
        sa.Column("microsoft_tenant_id", sa.String(length=36), nullable=True),
        sa.Column("object_id", sa.String(length=64), nullable=True),
        sa.Column("user_principal_name", sa.String(length=1024), nullable=False),
        sa.Column("immutable_id", sa.String(length=256), nullable=False),
        sa.Column("microsoft_status", sa.String(length=10), nullable=False),
        sa.Column("in_scope", sa.Boolean(), nullable=True),
        sa.Column("license_sku_ids", sa.Text(), nullable=False),
        sa.Column("is_licensed", sa.Boolean(), nullable=False),
        sa.Column("license_names", sa.String(length=200), nullable=False),
        sa.Column("last_sign_in_at", sa.DateTime(), nullable=True),
        sa.Column("mfa_registered", sa.Boolean(), nullable=True),
        sa.Column("mfa_methods", sa.JSON(), nullable=False),
        sa.Column("written", sa.JSON(), nullable=False),
        sa.Column("applied_hash", sa.String(length=64), nullable=False),
        sa.Column("linked_at", sa.DateTime(), nullable=True),
        sa.Column("linked_by_run_id", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(
            ["microsoft_tenant_id"], ["microsoft_tenants.id"], name=op.f("fk_end_users_microsoft_tenant_id")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_end_users_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_end_users")),
        sa.UniqueConstraint(
            "organization_id", "email_key", name=op.f("uq_end_users_organization_id_email_key")
        ),
        sa.UniqueConstraint(
            "microsoft_tenant_id",
            "object_id",
            "organization_id",
            name=op.f("uq_end_users_microsoft_tenant_id_object_id_organization_id"),
        ),
    )
    with op.batch_alter_table("end_users", schema=None) as batch_op:
        batch_op.create_index(
            "ix_end_users_keys",
            [
                "microsoft_tenant_id",
                "object_id",
                "organization_id",
                "applied_hash",
                "email_key",
                "microsoft_status",
                "in_scope",
            ],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_end_users_organization_id_created_at_id"),
            ["organization_id", "created_at", "id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_end_users_organization_id_email_key_id"),
            ["organization_id", "email_key", "id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_end_users_organization_id_job_title_id"),
            ["organization_id", "job_title", "id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_end_users_organization_id_last_sign_in_at_id"),
            ["organization_id", "last_sign_in_at", "id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_end_users_organization_id_license_names_id"),
            ["organization_id", "license_names", "id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_end_users_organization_id_mfa_registered_id"),
            ["organization_id", "mfa_registered", "id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_end_users_organization_id_microsoft_status_id"),
            ["organization_id", "microsoft_status", "id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_end_users_organization_id_phone_id"),
            ["organization_id", "phone", "id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_end_users_organization_id_sort_name_id"),
            ["organization_id", "sort_name", "id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_end_users_organization_id_source_id"),
            ["organization_id", "source", "id"],
            unique=False,
        )
        batch_op.create_index(
            "ix_end_users_search",
            [
                "organization_id",
                "search_text",
                "microsoft_status",
                "is_licensed",
                "mfa_registered",
                "in_scope",
                "source",
            ],
            unique=False,
        )
        # The shortest one last: of the indexes that would do, SQLite counts along the newest.
        batch_op.create_index(batch_op.f("ix_end_users_organization_id"), ["organization_id"], unique=False)

    op.create_table(
        "imports",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("file_name", sa.String(length=255), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("created", sa.Integer(), nullable=False),
        sa.Column("updated", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("restored", sa.Integer(), nullable=False),
        sa.Column("spared", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=320), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column("ip", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("renewed_at", sa.DateTime(), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=True),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.Column("undone_at", sa.DateTime(), nullable=True),
        sa.Column("undone_by", sa.String(length=320), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_imports_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    with op.batch_alter_table("imports", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_imports_organization_id_created_at"),
            ["organization_id", "created_at"],
            unique=False,
        )
        batch_op.create_index(batch_op.f("ix_imports_status"), ["status"], unique=False)

    op.create_table(
        "sync_runs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("microsoft_tenant_id", sa.String(length=36), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("undoes_run_id", sa.String(length=36), nullable=True),
        sa.Column("trigger", sa.String(length=10), nullable=False),
        sa.Column("lane", sa.String(length=10), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("phase", sa.String(length=40), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("held", sa.JSON(), nullable=True),
        sa.Column("graph_requests", sa.Integer(), nullable=False),
        sa.Column("throttled_seconds", sa.Double(), nullable=False),
        sa.Column("plan_fingerprint", sa.String(length=64), nullable=True),
        sa.Column("only_object_id", sa.String(length=64), nullable=True),
        sa.Column("started_by", sa.String(length=320), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=True),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.Column("heartbeat_at", sa.DateTime(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_sync_runs_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_runs")),
    )
    with op.batch_alter_table("sync_runs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sync_runs_created_at"), ["created_at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_sync_runs_microsoft_tenant_id_status"),
            ["microsoft_tenant_id", "status"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_sync_runs_organization_id_created_at"),
            ["organization_id", "created_at"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_sync_runs_status_created_at"), ["status", "created_at"], unique=False
        )

    op.create_table(
        "user_syncs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("filters", sa.JSON(), nullable=False),
        sa.Column("add_disabled_accounts", sa.Boolean(), nullable=False),
        sa.Column("only_licensed", sa.Boolean(), nullable=False),
        sa.Column("include_agents", sa.Boolean(), nullable=False),
        sa.Column("hold_percent", sa.Integer(), nullable=False),
        sa.Column("hold_minimum", sa.Integer(), nullable=False),
        sa.Column("edited_at", sa.DateTime(), nullable=True),
        sa.Column("enabled_at", sa.DateTime(), nullable=True),
        sa.Column("enabled_by", sa.String(length=320), nullable=False),
        sa.Column("initial_done_at", sa.DateTime(), nullable=True),
        sa.Column("hold_run_id", sa.String(length=36), nullable=True),
        sa.Column("failures_in_row", sa.Integer(), nullable=False),
        sa.Column("attention", sa.Text(), nullable=True),
        sa.Column("attention_code", sa.String(length=20), nullable=False),
        sa.Column("dismissed", sa.JSON(), nullable=False),
        sa.Column("settled_state", sa.String(length=64), nullable=True),
        sa.Column("settled_counts", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_user_syncs_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_syncs")),
        sa.UniqueConstraint("organization_id", name=op.f("uq_user_syncs_organization_id")),
    )
    op.create_table(
        "assets",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=256), nullable=False),
        sa.Column("end_user_id", sa.String(length=36), nullable=True),
        sa.Column("assigned_by", sa.String(length=10), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["end_user_id"], ["end_users.id"], name=op.f("fk_assets_end_user_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_assets_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assets")),
    )
    with op.batch_alter_table("assets", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_assets_end_user_id"), ["end_user_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_assets_organization_id_name"), ["organization_id", "name"], unique=False
        )

    op.create_table(
        "import_parts",
        sa.Column("import_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["imports.id"], name=op.f("fk_import_parts_import_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("import_id", "number", name=op.f("pk_import_parts")),
    )
    op.create_table(
        "import_rows",
        sa.Column("import_id", sa.String(length=36), nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("action", sa.String(length=10), nullable=False),
        sa.Column("object_id", sa.String(length=36), nullable=True),
        sa.Column("name", sa.String(length=1024), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["imports.id"], name=op.f("fk_import_rows_import_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("import_id", "line", name=op.f("pk_import_rows")),
    )
    with op.batch_alter_table("import_rows", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_import_rows_object_id"), ["object_id"], unique=False)

    op.create_table(
        "sync_changes",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("end_user_id", sa.String(length=36), nullable=True),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("display_name", sa.String(length=1024), nullable=False),
        sa.Column("decision", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("undo", sa.JSON(), nullable=False),
        sa.Column("hold_key", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["sync_runs.id"], name=op.f("fk_sync_changes_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_changes")),
        sa.UniqueConstraint("run_id", "object_id", name=op.f("uq_sync_changes_run_id_object_id")),
    )
    with op.batch_alter_table("sync_changes", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_sync_changes_end_user_id_at"), ["end_user_id", "at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_sync_changes_run_id_decision"), ["run_id", "decision"], unique=False
        )

    op.create_table(
        "sync_exceptions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=True),
        sa.Column("immutable_id", sa.String(length=256), nullable=False),
        sa.Column("email_key", sa.String(length=1024), nullable=False),
        sa.Column("end_user_id", sa.String(length=36), nullable=True),
        sa.Column("field", sa.String(length=40), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=320), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["end_user_id"], ["end_users.id"], name=op.f("fk_sync_exceptions_end_user_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_sync_exceptions_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_exceptions")),
    )
    with op.batch_alter_table("sync_exceptions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_sync_exceptions_organization_id_kind"), ["organization_id", "kind"], unique=False
        )

    op.create_table(
        "asset_macs",
        sa.Column("asset_id", sa.String(length=36), nullable=False),
        sa.Column("mac", sa.String(length=12), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_asset_macs_asset_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("asset_id", "mac", name=op.f("pk_asset_macs")),
    )
    with op.batch_alter_table("asset_macs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_asset_macs_mac"), ["mac"], unique=False)

    op.create_table(
        "asset_reports",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("asset_id", sa.String(length=36), nullable=True),
        sa.Column("mac", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["asset_id"], ["assets.id"], name=op.f("fk_asset_reports_asset_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_asset_reports_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_asset_reports")),
    )
    with op.batch_alter_table("asset_reports", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_asset_reports_organization_id"), ["organization_id"], unique=False
        )


def downgrade():
    """Over 50 lines: what each table and index is taken away by, in the other order."""
    with op.batch_alter_table("asset_reports", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_asset_reports_organization_id"))

    op.drop_table("asset_reports")
    with op.batch_alter_table("asset_macs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_asset_macs_mac"))

    op.drop_table("asset_macs")
    with op.batch_alter_table("sync_exceptions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sync_exceptions_organization_id_kind"))

    op.drop_table("sync_exceptions")
    with op.batch_alter_table("sync_changes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sync_changes_run_id_decision"))
        batch_op.drop_index(batch_op.f("ix_sync_changes_end_user_id_at"))

    op.drop_table("sync_changes")
    with op.batch_alter_table("import_rows", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_import_rows_object_id"))

    op.drop_table("import_rows")
    op.drop_table("import_parts")
    with op.batch_alter_table("assets", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_assets_organization_id_name"))
        batch_op.drop_index(batch_op.f("ix_assets_end_user_id"))

    op.drop_table("assets")
    op.drop_table("user_syncs")
    with op.batch_alter_table("sync_runs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sync_runs_status_created_at"))
        batch_op.drop_index(batch_op.f("ix_sync_runs_organization_id_created_at"))
        batch_op.drop_index(batch_op.f("ix_sync_runs_microsoft_tenant_id_status"))
        batch_op.drop_index(batch_op.f("ix_sync_runs_created_at"))

    op.drop_table("sync_runs")
    with op.batch_alter_table("imports", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_imports_status"))
        batch_op.drop_index(batch_op.f("ix_imports_organization_id_created_at"))

    op.drop_table("imports")
    with op.batch_alter_table("end_users", schema=None) as batch_op:
        batch_op.drop_index("ix_end_users_search")
        batch_op.drop_index("ix_end_users_keys")
        batch_op.drop_index(batch_op.f("ix_end_users_organization_id_source_id"))
        batch_op.drop_index(batch_op.f("ix_end_users_organization_id_sort_name_id"))
        batch_op.drop_index(batch_op.f("ix_end_users_organization_id_phone_id"))
        batch_op.drop_index(batch_op.f("ix_end_users_organization_id_microsoft_status_id"))
        batch_op.drop_index(batch_op.f("ix_end_users_organization_id_mfa_registered_id"))
        batch_op.drop_index(batch_op.f("ix_end_users_organization_id_license_names_id"))
        batch_op.drop_index(batch_op.f("ix_end_users_organization_id_last_sign_in_at_id"))
        batch_op.drop_index(batch_op.f("ix_end_users_organization_id_job_title_id"))
        batch_op.drop_index(batch_op.f("ix_end_users_organization_id_email_key_id"))
        batch_op.drop_index(batch_op.f("ix_end_users_organization_id_created_at_id"))
        batch_op.drop_index(batch_op.f("ix_end_users_organization_id"))

    op.drop_table("end_users")
    with op.batch_alter_table("conflicts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_conflicts_organization_id_resolved_at"))

    op.drop_table("conflicts")
    with op.batch_alter_table("organizations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_organizations_tenant_id"))

    op.drop_table("organizations")
    op.drop_table("tenants")
    op.drop_table("subscribed_skus")
    op.drop_table("managed_devices")
    with op.batch_alter_table("invitations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_invitations_invited_by_id"))
        batch_op.drop_index(batch_op.f("ix_invitations_email"))

    op.drop_table("invitations")
    with op.batch_alter_table("group_memberships", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_group_memberships_microsoft_tenant_id_user_object_id"))

    op.drop_table("group_memberships")
    with op.batch_alter_table("directory_users", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_directory_users_microsoft_tenant_id_email_key"))
        batch_op.drop_index("ix_directory_users_keys")

    op.drop_table("directory_users")
    op.drop_table("directory_groups")
    op.drop_table("delta_cursors")
    with op.batch_alter_table("api_tokens", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_tokens_owner_id"))

    op.drop_table("api_tokens")
    with op.batch_alter_table("account_sessions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_account_sessions_account_id"))

    op.drop_table("account_sessions")
    op.drop_table("sign_in_turns")
    with op.batch_alter_table("sign_in_attempts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sign_in_attempts_last_at"))

    op.drop_table("sign_in_attempts")
    op.drop_table("settings")
    with op.batch_alter_table("microsoft_tenants", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_microsoft_tenants_slow_due_at"))
        batch_op.drop_index(batch_op.f("ix_microsoft_tenants_next_run_at"))

    op.drop_table("microsoft_tenants")
    op.drop_table("consent_requests")
    with op.batch_alter_table("audit_events", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_events_object_type_object_id"))
        batch_op.drop_index(batch_op.f("ix_audit_events_number"))
        batch_op.drop_index(batch_op.f("ix_audit_events_at"))
        batch_op.drop_index(batch_op.f("ix_audit_events_action"))

    op.drop_table("audit_events")
    op.drop_table("audit_chain")
    op.drop_table("accounts")
