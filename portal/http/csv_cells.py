"""CSV out, harmless in spreadsheets (G7): what a spreadsheet could take for a formula gets a leading ``'``."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from portal.text import BLANKS, UNSEEN, text_key

BOM = "\ufeff"
EMPTY = "<empty>"
"""The word that empties a field on import; a blank cell leaves it as it is."""
PHONE_COLUMNS = frozenset({"phone", "mobile_phone"})

# What a spreadsheet may skip before a sign: blanks, what nobody sees (a byte order mark), and quotes around a cell. No separators.
_SKIPPED = BLANKS.replace("\t-\r", "\x0b\x0c") + UNSEEN + '"'
_SIGN = f"[{_SKIPPED}]*[=+\\-@\uff1d\uff0b\uff0d\uff20\u2212]"  # full-width ones too
# In any spelling that ``is_empty`` recognizes.
_WORD = f"[{BLANKS}{UNSEEN}]*" + f"[{UNSEEN}]*".join(EMPTY) + f"[{BLANKS}{UNSEEN}]*\\Z"
# At the start of a cell, and after whatever a spreadsheet of another country takes for the end of one.
_START = rf"^{{0}}(?='*(?:{_SIGN}|[\t\r\n]|{_WORD}))"
_INSIDE = rf"(?<=[;\t\r\n]){{0}}(?='*{_SIGN})"
_FORMULA = re.compile(f"{_START}|{_INSIDE}".replace("{0}", ""), re.IGNORECASE)
_GUARDED = re.compile(f"{_START}|{_INSIDE}".replace("{0}", "'"), re.IGNORECASE)
_SIGNS = re.compile("[=+\\-@\t\r\n<\uff1d\uff0b\uff0d\uff20\u2212]")
_PHONE = re.compile(r"\+[0-9][0-9 ()./\-]*(?: ?(?:ext\.?|x) ?[0-9]+)?", re.IGNORECASE)


class Phone(str):
    """A cell that holds a phone number: one that looks like it is written as itself, ``+31 …`` too."""

    __slots__ = ()


def guard(cell: object) -> str:
    """The text to write for a cell: ``'`` before each part that a spreadsheet could take for a formula. See ``unguard``."""
    text = "" if cell is None else str(cell)
    if _SIGNS.search(text) is None or (isinstance(cell, Phone) and _PHONE.fullmatch(text)):
        return text
    return _FORMULA.sub("'", text)


def unguard(cell: str) -> str:
    """The inverse of ``guard``: ``unguard(guard(x)) == x`` for every text."""
    return _GUARDED.sub("", cell) if "'" in cell else cell


def moment(at: datetime | None) -> str:
    """A time as cells have it, ISO 8601 UTC; "" for none."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at is not None else ""


def is_empty(cell: str) -> bool:
    """True for a cell that says ``<empty>``, however it is spelled (S3)."""
    return "<" in cell and text_key(cell) == EMPTY


def write(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """CSV text, in pieces of some 32 KB, for streaming. Columns named in ``PHONE_COLUMNS`` hold phone numbers."""
    phones = {place for place, name in enumerate(header) if name in PHONE_COLUMNS}
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(header)
    for row in rows:
        writer.writerow(
            [guard(Phone(cell or "") if place in phones else cell) for place, cell in enumerate(row)]
        )
        if buffer.tell() > 32_768:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()
