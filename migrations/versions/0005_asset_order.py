"""natural order of Assets: PC-2 before PC-10"""

import sqlalchemy as sa
from alembic import op

from portal.text import natural_key

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

AT_ONCE = 1000
BY_NAME, BY_ORDER = "ix_assets_organization_id_name", "ix_assets_organization_id_sort_key"


def upgrade():
    op.add_column("assets", sa.Column("sort_key", sa.String(length=400), nullable=False, server_default=""))
    connection, last = op.get_bind(), ""
    assets = sa.table("assets", sa.column("id"), sa.column("name"), sa.column("sort_key"))
    part = sa.select(assets.c.id, assets.c.name).order_by(assets.c.id).limit(AT_ONCE)
    change = assets.update().where(assets.c.id == sa.bindparam("asset")).values(sort_key=sa.bindparam("key"))
    while rows := connection.execute(part.where(assets.c.id > last)).all():
        connection.execute(change, [{"asset": row_id, "key": natural_key(name)} for row_id, name in rows])
        last = rows[-1].id
    op.drop_index(op.f(BY_NAME), table_name="assets")
    op.create_index(op.f(BY_ORDER), "assets", ["organization_id", "sort_key"])


def downgrade():
    op.drop_index(op.f(BY_ORDER), table_name="assets")
    op.create_index(op.f(BY_NAME), "assets", ["organization_id", "name"])
    op.drop_column("assets", "sort_key")
