"""Forms of notifications: one for each preset, and the choice of events."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wtforms import BooleanField, PasswordField, SelectField, SelectMultipleField, StringField
from wtforms.validators import InputRequired, Length

from portal.alerts import events, presets, targets
from portal.alerts.targets import Target
from portal.http.forms import Form, choices, text

PLAIN = {"autocomplete": "off", "spellcheck": "false"}


class EventsForm(Form):
    """Which events a target receives."""

    events = SelectMultipleField(
        "Events",
        choices=choices((name, label) for name, (label, _) in events.EVENTS.items()),
        default=list(events.DEFAULT),
    )

    def chosen(self) -> list[str]:
        """The events that are checked."""
        return [str(value) for value in self.events.data or ()]


class TargetForm(EventsForm):
    """What every kind of target asks for besides its own fields."""

    is_local = BooleanField("Inside our network: the host may have a private address")

    def address(self) -> str:
        """The target's address for ``targets.parse``. Raises Invalid."""
        raise NotImplementedError

    def target(self) -> Target:
        """The target as it was entered. Raises Invalid at the form's own fields."""
        return targets.parse(self.address(), is_local=bool(self.is_local.data))


class EmailForm(TargetForm):
    """A mail server, and to whom it delivers."""

    recipients = StringField(
        "To",
        validators=[InputRequired("Enter at least one email address."), Length(max=1000)],
        description="Separate several with commas.",
    )
    sender = StringField(
        "From", validators=[InputRequired("Enter the sender's email address."), Length(max=320)]
    )
    server = StringField(
        "Mail server", validators=[InputRequired("Enter the mail server's name."), Length(max=253)]
    )
    encryption = SelectField("Encryption", choices=choices(presets.ENCRYPTIONS.items()), default="starttls")
    port = StringField(
        "Port",
        validators=[Length(max=5)],
        description="Leave empty for the usual port.",
        render_kw={"inputmode": "numeric"},
    )
    user = StringField(
        "User name",
        validators=[Length(max=320)],
        description="Leave empty if the server needs none.",
        render_kw=PLAIN,
    )
    password = PasswordField("Password", validators=[Length(max=512)])

    def address(self) -> str:
        """See ``TargetForm``."""
        names = ("recipients", "sender", "server", "encryption", "port", "user", "password")
        return presets.email({name: text(self[name]) for name in names})


class TeamsForm(TargetForm):
    """A workflow of Microsoft Teams."""

    url = StringField(
        "Workflow URL",
        validators=[InputRequired("Enter the workflow's URL."), Length(max=2000)],
        description="In Teams, open the channel's ⋯ menu, Workflows, “Send webhook alerts to a channel”, and copy the URL it shows.",
        render_kw=PLAIN,
    )

    def address(self) -> str:
        """See ``TargetForm``."""
        return presets.teams(text(self.url))


class SlackForm(TargetForm):
    """An incoming webhook of Slack."""

    url = StringField(
        "Webhook URL",
        validators=[InputRequired("Enter the webhook's URL."), Length(max=2000)],
        description="In Slack, add the app Incoming WebHooks to the channel and copy its webhook URL.",
        render_kw=PLAIN,
    )

    def address(self) -> str:
        """See ``TargetForm``."""
        return presets.slack(text(self.url))


class WebhookForm(TargetForm):
    """Any program that takes JSON by POST."""

    url = StringField(
        "URL",
        validators=[InputRequired("Enter a URL."), Length(max=2000)],
        description="Each alert is posted as JSON with title, message and type.",
        render_kw=PLAIN,
    )

    def address(self) -> str:
        """See ``TargetForm``."""
        return presets.webhook(text(self.url))


class OtherForm(TargetForm):
    """Any other service, by its Apprise address."""

    url = StringField(
        "Address",
        validators=[InputRequired("Enter an address."), Length(max=2000)],
        description="In Apprise’s format, such as opsgenie://key or gotifys://host/token. Supported: "
        + ", ".join(sorted(targets.PARAMETERS))
        + ".",
        render_kw=PLAIN,
    )

    def address(self) -> str:
        """See ``TargetForm``."""
        return text(self.url)


FORMS: Mapping[str, Callable[[], TargetForm]] = {
    presets.EMAIL: EmailForm,
    presets.TEAMS: TeamsForm,
    presets.SLACK: SlackForm,
    presets.WEBHOOK: WebhookForm,
    presets.OTHER: OtherForm,
}
