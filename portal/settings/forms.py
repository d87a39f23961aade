"""What the pages of the settings ask for."""

from __future__ import annotations

from wtforms import PasswordField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from portal.evidence import retention
from portal.graph.clouds import DEFAULT, REGISTRATIONS
from portal.http.forms import DayField, Form, choices

ROLES = [("administrator", "Administrator"), ("technician", "Technician"), ("read-only", "Read-only")]


class MicrosoftForm(Form):
    """The app registration."""

    client_id = StringField("Client ID", validators=[InputRequired("Enter the client ID."), Length(max=64)])
    secret = PasswordField(
        "Client secret",
        validators=[Length(max=512)],
        description="The secret's Value, not its ID. Leave it empty to keep the stored one.",
    )
    certificate = TextAreaField(
        "Certificate",
        validators=[Length(max=40_000)],
        description="PEM with private key and certificate.",
    )
    expires_on = DayField("Secret expires on", description="As Microsoft shows it.")

    def ask_again(self) -> None:
        """Ask for the secret again: it is not sent back to the browser, so saving without it would silently keep the old one."""
        if self.secret.data and not self.secret.errors:
            self.secret.errors = ["Enter the secret again. It is not kept when another field is refused."]


class EndForm(Form):
    """When the secret of the environment expires."""

    expires_on = DayField(
        "Secret expires on",
        description="As Microsoft shows it. The portal cannot read it, and warns 60, 30 and 7 days before.",
    )


class InviteForm(Form):
    """Whom to invite, as what."""

    email = StringField("Email", validators=[InputRequired("Enter an email address."), Length(max=320)])
    role = SelectField("Role", choices=choices(ROLES), default="technician")


class SignInForm(Form):
    """Microsoft tenants whose people may sign in."""

    tenants = TextAreaField(
        "Tenant IDs, one per line",
        validators=[Optional(), Length(max=4000)],
        description="Leave empty to turn off sign-in with Microsoft.",
    )
    cloud = SelectField("Cloud", choices=choices(REGISTRATIONS.items()), default=DEFAULT)


class TokenForm(Form):
    """A new API token."""

    name = StringField("Name", validators=[InputRequired("Enter a name."), Length(max=100)])
    role = SelectField("Role", choices=choices(ROLES), default="read-only")
    expires_at = DayField(
        "Expires on", description="The first day on which it no longer works (UTC). Leave empty for never."
    )


class RetentionForm(Form):
    """For how long audit events are kept."""

    days = SelectField(
        "Keep events",
        choices=choices((str(days), label) for days, label in retention.CHOICES.items()),
        description="Older events are deleted, also from the history on End User pages. The rest can still be verified.",
    )
