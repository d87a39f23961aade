"""The base of every form: Flask-WTF's with CSRF, typed, and the service's sentences shown at their fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, uuid5

from flask import request
from flask_wtf import FlaskForm
from markupsafe import Markup
from wtforms import Field, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its stubs

from portal.engine.normalize import parse_time
from portal.errors import Invalid
from portal.extensions import db
from portal.http.request_body import NUL
from portal.models import Base

M = TypeVar("M", bound=Base)


ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "email": {"autocomplete": "username", "inputmode": "email", "spellcheck": "false"},
    "code": {"autocomplete": "one-time-code", "inputmode": "numeric"},
    "password": {"autocomplete": "current-password"},
    "old_password": {"autocomplete": "current-password"},
}
"""What a browser is told of a field, by its name; of another password, that it is a new one."""


class Form(FlaskForm):
    """A form with a CSRF token. ``formdata=None`` leaves out what the request brought."""

    class Meta(FlaskForm.Meta):
        """How fields are drawn."""

        def render_field(self, field: Field, render_kw: Any) -> Markup:
            """The field's tag, marked while it is wrong."""
            attributes = {"class": "form-select" if field.type == "SelectField" else "form-control"}
            if field.type == "PasswordField":
                attributes["autocomplete"] = "new-password"
            attributes.update(ATTRIBUTES.get(field.name, {}))
            if field.errors:
                attributes |= {"class": f"{attributes['class']} is-invalid", "aria-invalid": "true"}
            return super().render_field(field, {**attributes, **render_kw})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]

    def validate(self, extra_validators: Mapping[str, Sequence[Any]] | None = None) -> bool:
        """True when every field is fine. No text and no file's name may hold NUL: not every database takes it."""
        is_fine = bool(super().validate(extra_validators))
        for field in self:
            if any("\x00" in _name_or_text(value) for value in field.raw_data or ()):
                field.errors = [*field.errors, NUL]
                is_fine = False
        return is_fine

    def submitted(self) -> bool:
        """True when the request posts this form and every field is fine."""
        return bool(self.validate_on_submit())  # type: ignore[no-untyped-call]

    def idempotency_key(self) -> str | None:
        """The id of the row this form creates: the same if the form is sent twice unchanged, by a double click or a reload.

        The token distinguishes opened forms; without it (None) each row gets an id of its own.
        """
        if not request.form.get("csrf_token"):
            return None
        return str(uuid5(NAMESPACE_URL, repr((request.path, sorted(request.form.items(multi=True))))))

    def already_created(self, model: type[M]) -> M | None:
        """The row this form has created already."""
        return db.session.get(model, self.idempotency_key() or "")

    def make(self, model: type[M], create: Callable[[str | None], M]) -> M | None:
        """Create this form's row once, however often it is sent; ``create`` takes the row's id. The caller commits.

        Returns None if ``create`` raised Invalid: its sentences are shown, and the session was rolled back.
        """
        try:
            return self.already_created(model) or create(self.idempotency_key())
        except Invalid as error:
            db.session.rollback()
            created = self.already_created(model)  # sent twice in one moment, and the other one is through
            if created is None:
                self.show(error)
            return created

    def edited(self, *names: str) -> list[str]:
        """The fields whose value differs from when the form was opened (``was`` in its template)."""
        return [name for name in names if request.form.get(f"was_{name}") != text(self[name])]

    def show(self, error: Invalid) -> None:
        """Put the service's sentences at the fields they are about; those without a field go to the first one."""
        for name, sentences in error.errors.items():
            field = self[name] if name in self else next(iter(self))
            field.errors = [*field.errors, *sentences]


class ShowingInvalid:
    """``with ShowingInvalid(form):`` shows an Invalid that the block raises at the form's fields, and rolls back.

    What follows the block is reached only then, if the block returns.
    """

    def __init__(self, form: Form) -> None:
        self._form = form

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Invalid):
            return False
        db.session.rollback()
        self._form.show(error)
        return True


def _name_or_text(value: Any) -> str:
    return value if isinstance(value, str) else str(getattr(value, "filename", None) or "")


def text(field: Field) -> str:
    """What was entered, ``""`` when nothing was."""
    return str(field.data or "")


def choices(pairs: Iterable[tuple[str, str]]) -> list[Any]:
    """(value, label) pairs as a select's options."""
    return [SelectChoice(value=value, label=label) for value, label in pairs]


class DayField(StringField):
    """A day, or nothing: browsers show their calendar, and what is typed looks like 2027-01-31."""

    def __init__(self, label: str, **kwargs: Any) -> None:
        super().__init__(label, render_kw={"type": "date"}, **kwargs)

    def moment(self) -> datetime | None:
        """Midnight UTC at which that day begins. Raises Invalid for anything else that was entered."""
        day = text(self).strip()
        if not day:
            return None
        moment = parse_time(f"{day}T00:00:00Z")
        if moment is None:
            raise Invalid({self.name: ["Enter a day such as 2027-01-31."]})
        return moment
