"""CSV in and out, harmless in spreadsheets (G7, interfaces.md "CSV"): cells that a spreadsheet would run get a leading ``'``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

from portal.errors import Invalid

BEYOND = ""
DANGEROUS = ("=", "+", "-", "@", "\t", "\r")
MAX_ROWS = 200_000
MAX_CELL = (
    32 * 1024 * 1024
)  # as large as a request may be: the field's own limit refuses its line, not the file
csv.field_size_limit(MAX_CELL)


def guard(cell: object) -> str:
    """The text to write for a cell; ``'`` in front of what begins like a formula, or of what ``unguard`` would shorten."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(DANGEROUS) or unguard(text) != text else text


def unguard(cell: str) -> str:
    """What ``guard`` wrote, taken back."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith((*DANGEROUS, "'")) else cell


def write(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """CSV text, a piece per row, for streaming."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(header)
    for row in rows:
        writer.writerow([guard(cell) for cell in row])
        if buffer.tell() > 32_768:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def read(
    data: bytes, *, known: Iterable[str], required: Iterable[str]
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(line, {column: text}) of each row. Raises Invalid on ``file`` for what is no usable CSV.

    Comma, semicolon or tab between cells; UTF-8 with or without a byte-order mark. Unknown columns are refused by name.
    What stands beyond the last column comes under ``BEYOND``: the caller rejects the line with ``refuse_beyond``.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad("The file is not UTF-8. In Excel, save it as 'CSV UTF-8'.") from error
    if "\x00" in text:
        raise _bad("The file holds NUL characters, so it is no CSV text. Save it as 'CSV UTF-8'.")
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
    except csv.Error as error:
        raise _bad(f"The first line cannot be read: {error}.") from error
    allowed = set(known)
    unknown = [name or "(empty)" for name in header if name not in allowed]
    missing = [name for name in required if name not in header]
    if not header or missing:
        raise _bad(f"The first line must name the columns, {', '.join(required)} among them.")
    if unknown:
        raise _bad(f"Unknown columns: {', '.join(unknown[:10])}. Known are: {', '.join(sorted(allowed))}.")
    if len(set(header)) != len(header):
        raise _bad("A column stands in the first line twice.")
    return _rows(reader, header)


def refuse_beyond(cells: Mapping[str, str]) -> None:
    """Raise Invalid for a line with more cells than columns: a comma without quotes, so its cells are one place off."""
    if cells[BEYOND]:
        raise Invalid(
            {"line": ["It has more cells than the first line. Put texts with separators into quotes."]}
        )


def _rows(reader: Iterator[list[str]], header: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    number = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _bad(f"Line {getattr(reader, 'line_num', 0)} cannot be read: {error}.") from error
        number += 1
        if number > MAX_ROWS:
            raise _bad(f"At most {MAX_ROWS:,} rows at once.")
        if any(cell.strip() for cell in cells):
            line = int(getattr(reader, "line_num", number + 1))
            texts = [unguard(cell) for cell in [*cells, *[""] * (len(header) - len(cells))]]
            beyond = {BEYOND: "".join(texts[len(header) :]).strip()}
            yield line, {**dict(zip(header, texts, strict=False)), **beyond}


def _bad(text: str) -> Invalid:
    return Invalid({"file": [text]}, text)
