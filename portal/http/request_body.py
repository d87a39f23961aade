"""Request bodies: received whole before anything else is done, and never larger than can be used.

A body that comes slowly keeps nobody waiting then: no transaction is open yet, and nothing is cut. Chunked bodies have no
length of their own; they are read up to the limit, and refused beyond.
"""

from __future__ import annotations

import json
import re
from tempfile import SpooledTemporaryFile
from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest, ClientDisconnected, RequestEntityTooLarge
from werkzeug.wsgi import get_content_length

from portal.errors import Invalid, NotFound

MOST_BYTES = 32 * 1024 * 1024
"""Of a file."""
MOST_FORM_BYTES = 4 * 1024 * 1024
"""Of a form without its files, and of a JSON document."""
MOST_FIELDS = 20_000
"""Of a form: thousands of checked values, each a field."""
MOST_VALUES = 50_000
"""Names and values of a JSON document, all in all."""
MOST_LEVELS = 32
"""Of a JSON document's lists and objects in each other; ours have four."""

RECEIVED = "rollcall.body"
"""The environment's key of what ``receive`` keeps, None where there was nothing."""
_URLENCODED = "application/x-www-form-urlencoded"
_FORMS = frozenset({_URLENCODED, "multipart/form-data"})
NUL = "Text and file names cannot contain NUL characters."
_PIECE = 64 * 1024
_IN_MEMORY = 1024 * 1024  # larger bodies wait in a temporary file
_HALF = re.compile("[\ud800-\udfff]")


class TooLarge(RequestEntityTooLarge):
    """413, with what the limit is."""

    def __init__(self, advice: str) -> None:
        super().__init__(advice)
        self.advice = advice


def receive() -> None:
    """Read the whole body of the present request. Raises TooLarge (413), ClientDisconnected (400).

    What reads it later (form, ``get_data``, CSRF check) finds it complete.
    """
    environ = request.environ
    declared = get_content_length(environ)
    environ[RECEIVED] = None
    if declared == 0 or (declared is None and not environ.get("wsgi.input_terminated")):
        return
    is_form = request.mimetype == _URLENCODED and not request.path.startswith("/api/")
    limit = MOST_FORM_BYTES if is_form else MOST_BYTES
    if declared is not None and declared > limit:
        raise _too_large(limit)
    spooled = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  ``release`` closes it
    environ[RECEIVED] = spooled
    length = fields = 0
    while length <= limit:
        size = _PIECE if declared is None else min(_PIECE, declared - length)
        piece = environ["wsgi.input"].read(size) if size else b""
        if not piece:
            break
        spooled.write(piece)
        length += len(piece)
        fields += piece.count(b"&")
    if length > limit:
        raise _too_large(limit)
    if declared is not None and length < declared:
        raise ClientDisconnected
    if is_form and fields > MOST_FIELDS:
        raise TooLarge(f"The form has too many fields: at most {MOST_FIELDS:,}.")
    spooled.seek(0)
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = spooled, str(length)
    environ.pop("wsgi.input_terminated", None)
    environ.pop("HTTP_TRANSFER_ENCODING", None)


def refuse_nul() -> None:
    """Raise Invalid (422) for a NUL in the query or a form, names and values, and NotFound (404) for one in the path.

    Not every database takes it, and nobody types it. JSON and files have their own checks (``parse_json``, ``imports.sheet``).
    """
    if any("\x00" in value for value in (request.view_args or {}).values() if isinstance(value, str)):
        raise NotFound("There is nothing at this address.")
    sources = [request.args]
    if request.mimetype in _FORMS and not request.path.startswith("/api/"):
        sources.append(request.form)
    for texts in sources:
        for name, value in texts.items(multi=True):
            if "\x00" in name or "\x00" in value:
                raise Invalid({name.replace("\x00", "")[:100]: [NUL]}, NUL)


def release() -> None:
    """Throw away what ``receive`` kept, when the request is over."""
    spooled = request.environ.pop(RECEIVED, None)
    if spooled is not None:
        spooled.close()


def parse_json(data: bytes) -> Any:
    """Parse a JSON document; ``{}`` for an empty one.

    Raises BadRequest (400) for what is no JSON, TooLarge (413), and Invalid (422) for one that is deeper or
    has more values than any document of ours, or texts that no database takes.
    """
    check_size(data)
    if not data.strip():
        return {}
    try:
        parsed = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadRequest from error
    check(parsed)
    return parsed


def check_size(data: bytes) -> None:
    """Raise TooLarge (413) for more than a document may have, before anybody reads it."""
    if len(data) > MOST_FORM_BYTES:
        raise _too_large(MOST_FORM_BYTES)


def check(value: Any) -> None:
    """Raise Invalid (422) as ``parse_json`` says, for what a document of any kind says.

    Level by level, without recursion: what is too deep for Python's stack is too deep for us, not a crash.
    """
    level, values = [value], 0
    for _ in range(MOST_LEVELS):
        values += len(level)
        if values > MOST_VALUES:
            raise _invalid(f"At most {MOST_VALUES:,} names and values at once.")
        if any(isinstance(value, str) and ("\x00" in value or _HALF.search(value)) for value in level):
            raise _invalid("Text cannot contain NUL characters or lone surrogates.")
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                below += node.keys()
                below += node.values()
            elif isinstance(node, list):
                below += node
        if not below:
            return
        level = below
    raise _invalid(f"Lists and objects may be nested {MOST_LEVELS} levels deep at most.")


def _no_number(word: str) -> Any:
    """NaN and Infinity, which Python reads and JSON has not."""
    raise ValueError(word)


def _invalid(sentence: str) -> Invalid:
    return Invalid({"body": [sentence]}, sentence)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The request is too large: at most {limit // 1024**2} MB.")
