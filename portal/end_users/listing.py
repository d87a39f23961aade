"""The list of End Users: search, filters, order, and the CSV of exactly that (P5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, literal_column, or_, select
from sqlalchemy.orm import selectinload

from portal.end_users.documents import license_names
from portal.end_users.service import EDITABLE
from portal.extensions import db
from portal.http import csv_cells
from portal.http.listing import Listing, ListSpec, fetch_by_id, order
from portal.models import EndUser, Organization, words
from portal.text import search_forms, text_key

NOT_DISABLED = "not_disabled"
"""Hides those marked Disabled in Microsoft only: who was never linked is shown, as who is active is."""
SPEC = ListSpec(
    sorts={
        "name": (EndUser.sort_name,),
        "display_name": (EndUser.sort_name,),
        "email": (EndUser.email_key,),
        "phone": (EndUser.phone,),
        "job_title": (EndUser.job_title,),
        "license": (EndUser.license_names,),
        "last_sign_in_at": (EndUser.last_sign_in_at,),
        "mfa": (EndUser.mfa_registered,),
        "status": (EndUser.microsoft_status,),
        "source": (EndUser.source,),
        "created_at": (EndUser.created_at,),
    },
    default_sort="name",
    filters={
        "microsoft_status": ("active", "disabled", "none", NOT_DISABLED),
        "licensed": ("true", "false"),
        "mfa": ("true", "false"),
        "source": ("manual", "import", "sync"),
        "in_scope": ("true", "false"),
    },
)
READ_ONLY_COLUMNS = (
    "id",
    "organization_id",
    "source",
    "microsoft_status",
    "user_principal_name",
    "object_id",
    "licenses",
    "last_sign_in_at",
    "mfa",
    "in_scope",
)
CSV_COLUMNS = (*EDITABLE, *READ_ONLY_COLUMNS)
WILDCARDS = set("%_")
PEOPLE_TEXT: ColumnElement[str] = literal_column(words.PEOPLE_TEXT, Text())


def listing(organization: Organization, query: Listing, *, assets: bool = False) -> Listing:
    """One page of an Organization's End Users. assets: with their Assets too."""
    rows = select(EndUser)
    if assets:
        rows = rows.options(selectinload(EndUser.assets))
    return fetch_by_id(
        db.session(),
        EndUser.organization_id == organization.id,
        conditions(query, is_sqlite=_is_sqlite()),
        rows,
        query,
        SPEC,
        tiebreaker=EndUser.id,
    )


def filtered(organization: Organization, query: Listing) -> Select[Any]:
    """The End Users that a list, its export and its bulk actions are about: one definition for all of them."""
    narrowed = conditions(query, is_sqlite=_is_sqlite())
    return select(EndUser).where(EndUser.organization_id == organization.id, *narrowed)


def conditions(query: Listing, *, is_sqlite: bool = True) -> list[ColumnElement[bool]]:
    """What the quick search and the filters ask of an End User. is_sqlite: False asks PostgreSQL's index of words too."""
    texts = {"microsoft_status": EndUser.microsoft_status, "source": EndUser.source}
    flags = {"licensed": EndUser.is_licensed, "mfa": EndUser.mfa_registered, "in_scope": EndUser.in_scope}
    # PostgreSQL finds who has a word among all that is searched in, which is what its index is made of, and then looks closer.
    searched = [EndUser.search_text] if is_sqlite else [PEOPLE_TEXT, EndUser.search_text]
    return [
        *(has_word(word, text) for word in text_key(query.q).split() for text in searched),
        *(
            EndUser.microsoft_status != "disabled" if value == NOT_DISABLED else texts[name] == value
            for name, value in query.filters.items()
            if name in texts
        ),
        *(flags[name].is_(value == "true") for name, value in query.filters.items() if name in flags),
    ]


def has_word(word: str, *texts: Any) -> ColumnElement[bool]:
    """Whether one of ``texts`` holds a word, which is a text key, in one of its forms."""
    # SQLite compares a tenth faster without ESCAPE, and hardly any word needs it.
    escaped = bool(WILDCARDS & set(word))
    return or_(*(text.contains(form, autoescape=escaped) for text in texts for form in search_forms(word)))


def _is_sqlite() -> bool:
    return db.session().get_bind().dialect.name == "sqlite"


def ids_of(organization: Organization, query: Listing) -> list[str]:
    """Ids of everybody that is filtered, for bulk actions."""
    return list(db.session.scalars(filtered(organization, query).with_only_columns(EndUser.id)))


def export(organization: Organization, query: Listing, ids: Sequence[str] | None = None) -> Iterable[str]:
    """CSV of exactly what is filtered, or only ``ids`` of it, in the order of the list."""
    statement = order(filtered(organization, query), query, SPEC, tiebreaker=EndUser.id)
    if ids is not None:
        statement = statement.where(EndUser.id.in_(ids))
    rows = db.session.scalars(statement).all()
    names = license_names(rows)
    return csv_cells.write(CSV_COLUMNS, (_cells(row, names.get(row.id, ())) for row in rows))


def _cells(row: EndUser, products: Iterable[str]) -> tuple[object, ...]:
    words = {None: "", True: "true", False: "false"}
    return (
        *(getattr(row, name) for name in EDITABLE),
        row.id,
        row.organization_id,
        row.source,
        row.microsoft_status,
        row.user_principal_name,
        row.object_id or "",
        ", ".join(products),
        f"{row.last_sign_in_at:%Y-%m-%dT%H:%M:%SZ}" if row.last_sign_in_at else "",
        words[row.mfa_registered],
        words[row.in_scope],
    )
