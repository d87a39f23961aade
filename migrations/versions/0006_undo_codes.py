"""what an undo did is kept as codes, not in words"""

from itertools import product

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

DELETED = ("deleted", "deleted again, as the run had created them")
PARTS = (
    ("", ("details", "details restored")),
    ("", ("unlinked", "unlinked"), ("linked", "linked as before")),
    ("", ("mark", "mark restored")),
)


def upgrade():
    _rewrite({words: code for code, words in _notes()})


def downgrade():
    _rewrite(dict(_notes()))


def _notes():
    """Each note that there can be, as (codes, words)."""
    yield DELETED
    for found in product(*PARTS):
        done = [one for one in found if one]
        if done:
            yield " ".join(code for code, _ in done), ", ".join(words for _, words in done)


def _rewrite(texts):
    changes = sa.table("sync_changes", sa.column("reason"), sa.column("note"))
    note = sa.case(texts, value=changes.c.note, else_=changes.c.note)
    op.execute(changes.update().where(changes.c.reason == "undone").values(note=note))
