"""Forms of sign-in, first run and one's own account."""

from __future__ import annotations

import functools
import importlib.resources
import zoneinfo
from collections.abc import Sequence
from pathlib import Path

from wtforms import Field, HiddenField, PasswordField, SelectField, StringField
from wtforms.validators import InputRequired, Length, Optional, ValidationError

from portal.auth.passwords import MIN_LENGTH
from portal.http.forms import Form, choices

FILL_IN = "Fill this in."
REQUIRED = InputRequired(FILL_IN)
SHORT_CODE = Length(max=12, message="Enter the six digits that your authenticator shows now.")
AREAS = (
    "Africa/",
    "America/",
    "Antarctica/",
    "Asia/",
    "Atlantic/",
    "Australia/",
    "Europe/",
    "Indian/",
    "Pacific/",
)


class LoginForm(Form):
    """E-mail and password and, where an authenticator is set up, the six-digit code: as a second step, or at once.

    proof: at the second step, what stands for the password that was right (``signed_in.prove``).
    """

    email = StringField("Email", validators=[REQUIRED, Length(max=320)])
    password = PasswordField("Password", validators=[Length(max=512)], render_kw={"required": True})
    code = StringField("Six-digit code", validators=[Optional(), SHORT_CODE])
    proof = HiddenField()
    next = HiddenField()

    def validate_password(self, field: Field) -> None:
        """Wanted unless it was right a moment ago. Raises ValidationError."""
        if not field.data and not self.proof.data:
            raise ValidationError(FILL_IN)


class FirstAccountForm(Form):
    """The first administrator (P11)."""

    token = StringField("One-time token", validators=[REQUIRED])
    name = StringField("Name", validators=[Optional(), Length(max=256)])
    email = StringField("Email", validators=[REQUIRED, Length(max=320)])
    password = PasswordField(
        "Password", validators=[REQUIRED], description=f"At least {MIN_LENGTH} characters."
    )


class InvitationForm(Form):
    """What an invited person chooses."""

    name = StringField("Name", validators=[Optional(), Length(max=256)])
    password = PasswordField(
        "Password", validators=[REQUIRED], description=f"At least {MIN_LENGTH} characters."
    )


class AccountForm(Form):
    """How the portal looks and tells the time for one person."""

    name = StringField("Name", validators=[REQUIRED, Length(max=256)])
    theme = SelectField(
        "Theme", choices=choices([("light", "Light"), ("dark", "Dark"), ("system", "Match system")])
    )
    timezone = SelectField("Time zone", validators=[Optional()])

    def offer_zones(self, chosen: str) -> None:
        """Fill in the server's own zone, those of the world, and what the account has, whatever that is."""
        offered = sorted({*time_zones(), chosen} - {""})
        self.timezone.choices = choices([("", "The server's"), *((zone, zone) for zone in offered)])


@functools.cache
def time_zones() -> Sequence[str]:
    """UTC and the zones of each country as the time zone database lists them: no other names of the same, no odd ones.

    Where that list is missing, every name that begins with a part of the world.
    """
    zones = zoneinfo.available_timezones()
    table = next((path for place in zoneinfo.TZPATH if (path := Path(place, "zone.tab")).is_file()), None)
    try:
        lines = (
            (table or importlib.resources.files("tzdata.zoneinfo") / "zone.tab")
            .read_text("utf-8")
            .splitlines()
        )
    except (ModuleNotFoundError, OSError):
        listed = {name for name in zones if name.startswith(AREAS)}
    else:
        listed = {line.split("\t")[2] for line in lines if line and not line.startswith("#")}
    return sorted((listed & zones) | {"UTC"})


class PasswordForm(Form):
    """Change one's own password."""

    old_password = PasswordField("Current password", validators=[Length(max=512)])
    new_password = PasswordField(
        "New password", validators=[REQUIRED], description=f"At least {MIN_LENGTH} characters."
    )


class ConfirmForm(Form):
    """The present password, before something changes about how one signs in.

    Not required: who signs in with Microsoft only has none, and is told what to do instead.
    """

    password = PasswordField("Current password", validators=[Length(max=512)])


class TotpForm(ConfirmForm):
    """Confirm a new authenticator."""

    code = StringField("Six-digit code", validators=[REQUIRED, SHORT_CODE])
