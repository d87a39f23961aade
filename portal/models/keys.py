"""``text.text_key`` of a column, said to the database, for searches of columns whose key is not stored."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import ReturnTypeFromArgs

from portal.text import BLANKS, UNSEEN


class KeyOf(ReturnTypeFromArgs[str]):
    """``KeyOf(column)``: SQLite calls our function (``extensions``), PostgreSQL gets an expression.

    The latter has capitals as ``lower`` does: of what folds to several letters it knows ß alone.
    """

    name = "text_key"
    type = Text()
    inherit_cache = True


# What PostgreSQL cannot store is left out: NUL and surrogates.
_UNSEEN = re.sub("\x00-|\ud800-\udfff", lambda match: "\x01-" if match[0] == "\x00-" else "", UNSEEN)


@compiles(KeyOf, "postgresql")
def _postgres(element: KeyOf, compiler: SQLCompiler, **options: Any) -> str:
    column = compiler.process(element.clauses, **options)
    plain = f"regexp_replace({column}, {_quoted(f'[{_UNSEEN}]+')}, '', 'g')"
    blanks = f"regexp_replace({plain}, {_quoted(f'[{BLANKS}]+')}, ' ', 'g')"
    return f"replace(replace(lower(normalize({blanks}, NFC)), 'ß', 'ss'), 'ς', 'σ')"


def _quoted(pattern: str) -> str:
    """A pattern as a literal of SQL in ASCII; a percent sign, which the driver would take for its own, is not in one."""
    codes = (c if c.isascii() and c.isprintable() and c != "\\" else f"\\U{ord(c):08x}" for c in pattern)
    return f"'{''.join(codes)}'"
