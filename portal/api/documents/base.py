"""What all documents share: their base, times, lists and problems."""

from __future__ import annotations

import inspect
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

from portal.clock import iso

Item = TypeVar("Item")
UUID_EXAMPLE = "0b6a3f1e-52c4-4d0e-9a57-3f6f2f1f8d10"
OBJECT_ID_EXAMPLE = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
TIME_EXAMPLE = "2026-03-02T04:13:00Z"


def _published(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Programs must not mind fields that come later; a field that may be missing is no field with a value of its own."""
    schema.pop("additionalProperties", None)
    schema.setdefault("description", inspect.getdoc(model))
    for property_schema in schema.get("properties", {}).values():
        property_schema.pop("default", None)


class Document(BaseModel):
    """An answer, or a part of one. Fields that it does not describe are a mistake, which the tests find."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_published)


def described(description: str, example: Any, **more: Any) -> Any:
    """A field of a document, with an example value. With ``default=None`` it may be missing; null is another matter."""
    return Field(description=description, examples=[example], **more)


Time = Annotated[
    datetime,
    PlainSerializer(iso, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": [TIME_EXAMPLE]}),
]
"""A moment, written as ISO 8601 in UTC, to the second."""


class Page(Document, Generic[Item]):
    """One page of a list. A page past the end is empty."""

    items: list[Item] = Field(description="Whole documents, in the order asked for.")
    total: int = described("How many match search and filters, on all pages.", 1)
    page: int = described("The number of this page; the first is 1.", 1)
    per_page: int = described("How many items a page holds at most.", 50)


class FieldChange(Document):
    """One field that changed."""

    field: str = described("The name of the field.", "job_title")
    old: str = described("The value before; blank for none.", "Nurse")
    new: str = described("The value after; blank for none.", "Head Nurse")


class License(Document):
    """A Microsoft license product."""

    sku_id: str = described("Microsoft's id of the product.", "06ebc4ee-1bb5-47dd-8120-11324bc54e06")
    name: str = described("What the product is called today.", "Microsoft 365 E5")


class Problem(Document):
    """What went wrong, and what to do about it (RFC 9457). It may have further members."""

    type: str = described("Always about:blank: the status says what kind of problem it is.", "about:blank")
    title: str = described("The name of the status.", "Unprocessable Content")
    status: int = described("The HTTP status.", 422)
    detail: str = described("What happened and what to do.", "Some fields cannot be used: name.")
    errors: dict[str, list[str]] = described(
        "With 422: what is wrong, by field or parameter; parts of a field are joined by dots.",
        {"name": ["This field is required."]},
        default=None,
    )
    link: str = described("Path of the page where it can be corrected.", "/organizations", default=None)
    code: str = described("Microsoft's own code, where Microsoft refused.", "AADSTS7000215", default=None)
    import_id: str = described("The import that this is about.", UUID_EXAMPLE, default=None)
