"""Copy what lists show of a Link into its End User; drop what nothing reads"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

COLUMNS = {
    'microsoft_status': (10, 'none'),
    'microsoft_licensed': (5, 'false'),
    'microsoft_mfa': (5, ''),
    'microsoft_in_scope': (5, ''),
    'microsoft_last_sign_in': (19, ''),
    'microsoft_licenses': (200, ''),
}
SORTS = (
    'sort_name', 'email_key', 'phone', 'job_title', 'source', 'created_at',
    'microsoft_licenses', 'microsoft_last_sign_in', 'microsoft_mfa', 'microsoft_status',
)
SEARCH = (
    'organization_id', 'microsoft_status', 'microsoft_licensed', 'microsoft_mfa', 'microsoft_in_scope', 'source', 'id', 'search_text',
)
WATCHED = 'status, in_scope, is_licensed, license_names, last_sign_in_at, mfa_registered, end_user_id'
VALUES = """microsoft_status = {row}status,
microsoft_licensed = CASE WHEN {row}is_licensed THEN 'true' ELSE 'false' END,
microsoft_mfa = CASE WHEN {row}mfa_registered IS NULL THEN '' WHEN {row}mfa_registered THEN 'true' ELSE 'false' END,
microsoft_in_scope = CASE WHEN {row}in_scope THEN 'true' ELSE 'false' END,
microsoft_last_sign_in = coalesce({moment}, ''),
microsoft_licenses = substr({row}license_names, 1, 200)"""
MOMENTS = {
    'sqlite': "substr({row}last_sign_in_at, 1, 19)",
    'postgresql': "to_char({row}last_sign_in_at, 'YYYY-MM-DD HH24:MI:SS')",
}
CLEAR = """UPDATE end_users SET microsoft_status = 'none', microsoft_licensed = 'false', microsoft_mfa = '',
microsoft_in_scope = '', microsoft_last_sign_in = '', microsoft_licenses = ''
WHERE id = OLD.end_user_id"""


def upgrade():
    dialect = op.get_bind().dialect.name
    for name in ('sort_name', 'job_title', 'phone'):
        op.drop_index(f'ix_end_users_organization_id_{name}', 'end_users')
    for name, (length, default) in COLUMNS.items():
        op.add_column('end_users', sa.Column(name, sa.String(length), nullable=False, server_default=default))
    values = VALUES.format(row='links.', moment=MOMENTS[dialect].format(row='links.'))
    op.execute(f'UPDATE end_users SET {values} FROM links WHERE links.end_user_id = end_users.id')  # noqa: S608
    op.execute('UPDATE end_users SET search_text = substr(search_text, 1, 600) WHERE length(search_text) > 600')
    for name in SORTS:
        op.create_index(f'ix_end_users_organization_id_{name}_id', 'end_users', ['organization_id', name, 'id'])
    op.create_index('ix_end_users_organization_id', 'end_users', ['organization_id'])
    op.create_index('ix_end_users_search', 'end_users', list(SEARCH))
    op.drop_index('ix_links_organization_id_last_sign_in_at', 'links')
    values = VALUES.format(row='NEW.', moment=MOMENTS[dialect].format(row='NEW.'))
    copy = f'UPDATE end_users SET {values}\nWHERE id = NEW.end_user_id;'  # noqa: S608
    for statement in triggers(dialect, copy):
        op.execute(statement)
    op.drop_table('sync_plans')
    op.drop_column('sync_runs', 'cursor')


def triggers(dialect, copy):
    """What portal/models/listed.py made when this was written."""
    if dialect == 'sqlite':
        return (
            f'CREATE TRIGGER links_listed_insert AFTER INSERT ON links BEGIN {copy} END',
            f"""CREATE TRIGGER links_listed_update AFTER UPDATE OF {WATCHED} ON links BEGIN
{CLEAR} AND OLD.end_user_id <> NEW.end_user_id; {copy} END""",
            f'CREATE TRIGGER links_listed_delete AFTER DELETE ON links BEGIN {CLEAR}; END',
        )
    return (
        f"""CREATE FUNCTION list_link() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF TG_OP = 'DELETE' THEN {CLEAR}; RETURN NULL; END IF;
IF TG_OP = 'UPDATE' THEN {CLEAR} AND OLD.end_user_id <> NEW.end_user_id; END IF;
{copy}
RETURN NULL; END $$""",
        f"""CREATE TRIGGER links_listed AFTER INSERT OR DELETE OR UPDATE OF {WATCHED} ON links
FOR EACH ROW EXECUTE FUNCTION list_link()""",
    )


def downgrade():
    op.add_column('sync_runs', sa.Column('cursor', sa.JSON(), nullable=False, server_default='{}'))
    op.create_table(
        'sync_plans',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('organization_id', sa.String(length=36), nullable=False),
        sa.Column('filters', sa.JSON(), nullable=False),
        sa.Column('fingerprint', sa.String(length=64), nullable=False),
        sa.Column('counts', sa.JSON(), nullable=False),
        sa.Column('created_at', sa.DateTime(), nullable=False),
        sa.Column('created_by', sa.String(length=320), nullable=False),
        sa.Column('used_at', sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(['organization_id'], ['organizations.id'], name='fk_sync_plans_organization_id', ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id', name='pk_sync_plans'),
    )
    op.create_index('ix_sync_plans_organization_id', 'sync_plans', ['organization_id'])
    if op.get_bind().dialect.name == 'sqlite':
        for name in ('insert', 'update', 'delete'):
            op.execute(f'DROP TRIGGER links_listed_{name}')
    else:
        op.execute('DROP TRIGGER links_listed ON links')
        op.execute('DROP FUNCTION list_link()')
    op.create_index('ix_links_organization_id_last_sign_in_at', 'links', ['organization_id', 'last_sign_in_at'])
    op.drop_index('ix_end_users_search', 'end_users')
    op.drop_index('ix_end_users_organization_id', 'end_users')
    for name in SORTS:
        op.drop_index(f'ix_end_users_organization_id_{name}_id', 'end_users')
    for name in COLUMNS:
        op.drop_column('end_users', name)
    for name in ('sort_name', 'job_title', 'phone'):
        op.create_index(f'ix_end_users_organization_id_{name}', 'end_users', ['organization_id', name])
