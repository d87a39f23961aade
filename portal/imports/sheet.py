"""Reads a CSV file into rows of known columns; what cannot be understood is refused or, row by row, named."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from portal.errors import Invalid
from portal.http.csv_cells import BOM, is_empty, unguard
from portal.text import is_blank, text_key

MAX_ROWS = 200_000
MAX_CELLS, MAX_HEADER = 200, 64 * 1024
"""Of the first line: columns, blank ones too, and characters."""
SEPARATORS = (",", ";", "\t")
TOO_WIDE = f"The first line must name the columns: at most {MAX_CELLS} of them. Delete blank columns, and save the file as CSV again."
SAVE_AS = "In Excel, save it as 'CSV UTF-8'."
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_LINE = re.compile(r"([^\r\n]*)(?:\r\n|\r|\n|$)")
# As large as a request may be: a field's own limit refuses its row, not the file.
csv.field_size_limit(32 * 1024 * 1024)


@dataclass(frozen=True)
class Columns:
    """What a header may name. fields: those that are read; ignored: those that only an export has; required: those it must have.

    labels: other spellings of a column, as pages have them; compared by ``text_key``.
    """

    fields: tuple[str, ...]
    required: tuple[str, ...]
    ignored: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)

    def find(self, cell: str) -> str | None:
        """The column that a cell of the header names, ``""`` for a blank one, None when there is no such column."""
        key = text_key(cell)
        name = self.labels.get(key, key.replace(" ", "_"))
        return name if not key or name in self.fields or name in self.ignored else None


@dataclass(frozen=True, slots=True)
class Row:
    """One row. line: where it begins in the file, from 1. cells: column → text, without the blank ones.

    A cell that says ``<empty>`` is ``""``. problem: why the row cannot be taken, ``""`` when it can.
    """

    line: int
    cells: Mapping[str, str]
    problem: str = ""


def decode(data: bytes) -> str:
    """The text of a file. Raises Invalid on ``file`` for anything but UTF-8, with or without a byte order mark."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _bad(f"The file is UTF-16. {SAVE_AS}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(f"The file is not UTF-8. {SAVE_AS}") from error
    if "\x00" in text:
        raise _bad("The file contains NUL characters, so it is not CSV text. Save it as 'CSV UTF-8'.")
    return text


def read(text: str, columns: Columns) -> Iterator[Row]:
    """The rows below the header, blank ones left out. Raises Invalid on ``file`` for what is no usable CSV, as it comes to it.

    Comma, semicolon or tab between cells, whichever gives the header most columns that are known; any line ends. Above the
    header may be blank lines and Excel's ``sep=;``.
    """
    start, line, separator = _header_start(text.removeprefix(BOM))
    first = _LINE.match(start)
    if first is not None and len(first[1]) > MAX_HEADER:
        raise _bad(TOO_WIDE)
    reader = _reader(start, separator or _separator(start, columns))
    header = _header(_narrow(next(reader, [])), columns)
    return _rows(reader, header, line)


def _header_start(text: str) -> tuple[str, int, str]:
    """(what begins with the header, the number of lines before it, the separator that ``sep=`` gave or "")."""
    lines, separator, at = 0, "", 0
    while at < len(text) and (first := _LINE.match(text, at)) is not None:
        content = first[1].strip()
        named = _SEPARATOR_LINE.fullmatch(content)
        if named is None and content.strip(",;\t"):
            break
        separator = named[1] if named is not None else separator
        at = first.end()
        lines += 1
    return text[at:], lines, separator


def _separator(text: str, columns: Columns) -> str:
    def recognized(separator: str) -> tuple[int, int]:
        try:
            cells = _narrow(next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), []))
        except csv.Error:
            return 0, 0
        return sum(bool(columns.find(cell)) for cell in cells), len(cells)

    return max(SEPARATORS, key=recognized)


def _narrow(cells: list[str]) -> list[str]:
    """The first line's cells, before each is looked up: there could be millions. Raises Invalid for too many of them."""
    if len(cells) > MAX_CELLS or sum(map(len, cells)) > MAX_HEADER:
        raise _bad(TOO_WIDE)
    return cells


def _reader(text: str, separator: str) -> Iterator[list[str]]:
    try:
        return csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    except (TypeError, ValueError) as error:
        raise _bad("The sep= line names no separator. Use a comma, a semicolon or a tab.") from error


@dataclass(frozen=True, slots=True)
class _Header:
    """names: column by column; width: with the blank cells that followed them."""

    names: tuple[str, ...]
    width: int


def _header(cells: Sequence[str], columns: Columns) -> _Header:
    fields = [columns.find(unguard(cell)) for cell in cells]
    while fields and fields[-1] == "":
        fields.pop()
    names = [name for name in fields if name]
    missing = [name for name in columns.required if name not in names]
    unknown = [cell.strip()[:60] or "(blank)" for cell, name in zip(cells, fields, strict=False) if not name]
    if unknown:
        allowed = ", ".join(columns.fields)
        raise _bad(f"Unknown columns: {', '.join(unknown[:10])}. Known columns: {allowed}.")
    if missing:
        raise _bad(f"The first line must name the columns, {', '.join(columns.required)} among them.")
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise _bad(f"The column {double} appears twice in the first line. Remove one.")
    return _Header(tuple(names), len(cells))


def _rows(reader: Iterator[list[str]], header: _Header, before: int) -> Iterator[Row]:
    number, end = 0, before + _line_of(reader)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _bad(f"Line {before + _line_of(reader)} cannot be read: {error}.") from error
        line, end = end + 1, before + _line_of(reader)
        if not any(cells) or all(_is_blank(cell) for cell in cells):
            continue
        number += 1
        if number > MAX_ROWS:
            raise _bad(f"At most {MAX_ROWS:,} rows at once. Split the file.")
        problem = _misfit(cells, header)
        yield Row(line, {} if problem else _texts(header.names, cells), problem)


def _texts(names: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    line = "".join(cells)
    if (
        line.isascii() and "'" not in line and "<" not in line
    ):  # nearly every row: nothing guarded, nothing to empty
        return {name: cell for name, cell in zip(names, cells, strict=False) if cell and not cell.isspace()}
    return {
        name: "" if is_empty(cell) else unguard(cell)
        for name, cell in zip(names, cells, strict=False)
        if not _is_blank(cell)
    }


def _is_blank(cell: str) -> bool:
    """True for a cell that shows nothing; nearly every cell is found out without a regular expression."""
    return not cell or cell.isspace() or (not cell.isascii() and is_blank(cell))


def _misfit(cells: Sequence[str], header: _Header) -> str:
    """Why a row cannot be matched with the header: a cell too few or too many may mean that all are one place off."""
    if len(cells) < len(header.names):
        return f"The row has too few cells: {len(cells)} of {len(header.names)}. It was not imported."
    if len(cells) > len(header.names) and (
        len(cells) > header.width or any(cell.strip() for cell in cells[len(header.names) :])
    ):
        return (
            f"The row has more cells than the first line, which has {len(header.names)}. "
            "Put text that contains separators in quotes."
        )
    return ""


def _line_of(reader: Iterator[list[str]]) -> int:
    return int(getattr(reader, "line_num", 0))


def _bad(text: str) -> Invalid:
    return Invalid({"file": [text]}, text)
