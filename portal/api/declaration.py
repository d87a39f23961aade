"""What a route says of itself: its body, its query, what it answers and with which status (decision 010).

``documented`` marks a view, as ``requires`` does, and changes nothing about it. ``schema.body``, ``schema.list_query`` and
``schema.answer`` hold the view to what it declared, and ``openapi`` makes the document from it: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, TypeVar, cast

from flask import Flask, current_app, request
from pydantic import BaseModel, TypeAdapter

from portal.http.listing import ListSpec

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class File:
    """A body or an answer that is no JSON document."""

    media: str
    example: str


CSV = File("text/csv", "email,display_name\nfinn.greco@fabrikam.example,Finn Greco\n")

Shape = type[BaseModel] | UnionType | File
"""What a document is: a model, one of several, or a file."""


@dataclass(frozen=True)
class Parameter:
    """A query parameter or a header besides those of a list. schema: as JSON Schema has it."""

    name: str
    description: str
    schema: Mapping[str, Any]
    place: str = "query"
    is_required: bool = False


@dataclass(frozen=True)
class Tag:
    """A resource: routes of one tag stand together."""

    name: str
    description: str


@dataclass(frozen=True)
class Declaration:
    """What a route takes and answers.

    status: what it answers with when all goes well; answers: what comes with this status and other good ones, None for no
    content. refusals: statuses of problems besides those that every such route may answer (``openapi.refusals_of``).
    """

    tag: Tag
    status: int
    answers: Mapping[int, Shape | None]
    body: type[BaseModel] | File | None = None
    query: ListSpec | None = None
    parameters: Sequence[Parameter] = ()
    refusals: frozenset[int] = frozenset()
    _adapters: dict[int, TypeAdapter[Any]] = field(default_factory=dict, compare=False, repr=False)

    def adapter(self, status: int) -> TypeAdapter[Any]:
        """What validates and writes the JSON that comes with ``status``. Raises RuntimeError for one not declared."""
        shape = self.answers.get(status)
        if shape is None or isinstance(shape, File):
            raise RuntimeError(
                f"route {request.endpoint} declares no document for {status}: add it to @documented"
            )
        if status not in self._adapters:
            self._adapters[status] = TypeAdapter(cast("Any", shape))
        return self._adapters[status]

    @property
    def query_names(self) -> tuple[str, ...]:
        """The names of the query parameters besides those of the list."""
        return tuple(parameter.name for parameter in self.parameters if parameter.place == "query")


def documented_as(tag: Tag) -> Callable[..., Callable[[View], View]]:
    """Make the decorator of the routes of one resource: each file has one, called ``documented``."""

    def documented(
        *,
        answer: Shape | None = None,
        status: int | None = None,
        also: Mapping[int, Shape] | None = None,
        body: type[BaseModel] | File | None = None,
        query: ListSpec | None = None,
        parameters: Sequence[Parameter] = (),
        refusals: Sequence[int] = (),
    ) -> Callable[[View], View]:
        """Declare a route. status: 200, or 204 without an answer, unless said. also: other good statuses."""
        good = status or (204 if answer is None else 200)
        declaration = Declaration(
            tag=tag,
            status=good,
            answers={good: answer, **(also or {})},
            body=body,
            query=query,
            parameters=tuple(parameters),
            refusals=frozenset(refusals),
        )

        def mark(view: View) -> View:
            view.declaration = declaration  # type: ignore[attr-defined]
            return view

        return mark

    return documented


def declaration_of(app: Flask, endpoint: str | None) -> Declaration:
    """What a route declares. Raises RuntimeError for one that declares nothing."""
    declaration = getattr(app.view_functions.get(endpoint or ""), "declaration", None)
    if not isinstance(declaration, Declaration):
        raise RuntimeError(f"route {endpoint} says not what it takes and answers: add @documented(...)")  # noqa: TRY004
    return declaration


def declared() -> Declaration:
    """What the route of the present request declares."""
    return declaration_of(current_app, request.endpoint)


_FLAG = {"type": "boolean", "default": False}
DRY_RUN = Parameter("dry_run", "Write nothing; return what would be done.", _FLAG)
BOM = Parameter("bom", "Begin with a byte order mark, for Excel.", _FLAG)
PREFER_LATER = Parameter(
    "Prefer",
    "respond-async: answer 202 at once and continue in the background.",
    {"type": "string", "enum": ["respond-async"]},
    place="header",
)
