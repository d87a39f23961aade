"""The usual places that alerts go to, entered as their own pages show them: mail server, Teams, Slack, webhook.

Each makes the address that ``targets.parse`` reads. What cannot be one raises Invalid at the field it is about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qs, quote, urlencode, urlsplit

from portal import addresses
from portal.errors import Invalid

EMAIL, TEAMS, SLACK, WEBHOOK, OTHER = "email", "teams", "slack", "webhook", "other"
LABELS: Mapping[str, str] = {
    EMAIL: "Email",
    TEAMS: "Microsoft Teams",
    SLACK: "Slack",
    WEBHOOK: "Webhook",
    OTHER: "Another service",
}
ICONS: Mapping[str, str] = {
    EMAIL: "mail",
    TEAMS: "brand-teams",
    SLACK: "brand-slack",
    WEBHOOK: "webhook",
    OTHER: "plus",
}
ENCRYPTIONS: Mapping[str, str] = {
    "starttls": "STARTTLS, usually port 587",
    "ssl": "TLS, usually port 465",
    "insecure": "None, inside your own network only",
}
_PORTS = {"starttls": 587, "ssl": 465, "insecure": 25}
_TEAMS = re.compile(
    r"(?P<automate>/powerautomate/automations/direct(?:/cu/(?P<route>[0-9]+))?)?"
    r"/workflows/(?P<workflow>[A-Za-z0-9_-]+)/triggers/manual/paths/invoke/?"
)
_SLACK = re.compile(r"/services/([A-Za-z0-9]+)/([A-Za-z0-9]+)/([A-Za-z0-9]+)/?")
NO_WORKFLOW = (
    "This is not the URL of a Teams workflow. In Teams, add the workflow “Send webhook alerts to a channel” "
    "and copy its URL."
)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def email(fields: Mapping[str, str]) -> str:
    """The address of a mail server. Raises Invalid on ``server``, ``port``, ``encryption``, ``sender`` or ``recipients``."""
    errors: dict[str, list[str]] = {}
    server, port, mode = fields["server"].strip(), fields["port"].strip(), fields["encryption"]
    if not _HOST.fullmatch(server):
        errors["server"] = ["Enter the mail server's name, such as smtp.example.com."]
    if mode not in ENCRYPTIONS:
        errors["encryption"] = ["Choose how the connection is encrypted."]
    number = port or str(_PORTS.get(mode, 587))
    if not (number.isascii() and number.isdigit() and 0 < int(number[:6]) < 65_536):
        errors["port"] = ["Enter a whole number up to 65,535."]
    sender = fields["sender"].strip()
    if problem := addresses.problem(sender):
        errors["sender"] = [problem]
    recipients = [address for address in re.split(r"[\s,;]+", fields["recipients"]) if address]
    wrong = [recipient for recipient in recipients if addresses.problem(recipient)]
    if wrong or not recipients:
        errors["recipients"] = [
            f"{wrong[0]} is not an email address." if wrong else "Enter at least one email address."
        ]
    if errors:
        raise Invalid(errors)
    who = ""
    if fields["user"]:
        who = f"{quote(fields['user'], safe='')}:{quote(fields['password'], safe='')}@"
    query = urlencode({"to": ",".join(recipients), "from": sender, "smtp": server, "mode": mode})
    return f"{'mailto' if mode == 'insecure' else 'mailtos'}://{who}{server}:{number}?{query}"


def teams(url: str) -> str:
    """The address of a Teams workflow, from the URL that Teams shows for it. Raises Invalid on ``url``."""
    parts = _https(url, "Enter the URL that the workflow shows; it begins with https://.")
    match = _TEAMS.fullmatch(parts.path)
    query = parse_qs(parts.query)
    if match is None or "sig" not in query:
        raise Invalid({"url": [NO_WORKFLOW]})
    extra = {"api-version": query["api-version"][0]} if "api-version" in query else {}
    if match["automate"]:
        extra["pa"] = "yes"
    if match["route"]:
        extra["route"] = match["route"]
    place = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    path = f"{match['workflow']}/{quote(query['sig'][0], safe='')}"
    return f"workflows://{place}/{path}" + (f"?{urlencode(extra)}" if extra else "")


def slack(url: str) -> str:
    """The address of a Slack channel, from its incoming webhook's URL. Raises Invalid on ``url``."""
    parts = _https(url, "Enter the webhook URL that Slack shows; it begins with https://hooks.slack.com.")
    match = _SLACK.fullmatch(parts.path)
    if match is None or parts.hostname not in {"hooks.slack.com", "hooks.slack-gov.com"}:
        raise Invalid(
            {
                "url": [
                    "This is not the URL of an incoming webhook: https://hooks.slack.com/services/… In Slack, add one."
                ]
            }
        )
    return f"slack://{match[1]}/{match[2]}/{match[3]}"


def webhook(url: str) -> str:
    """The address of a webhook that takes JSON. Raises Invalid on ``url``."""
    kind, separator, rest = url.strip().partition("://")
    schemes = {"https": "jsons", "http": "json"}
    if not separator or kind.lower() not in schemes:
        raise Invalid({"url": ["Enter a URL that begins with https://."]})
    if "?" in rest:
        raise Invalid(
            {
                "url": [
                    "Enter a URL without a question mark. Put a token in its path, or user:password@ before the host."
                ]
            }
        )
    return f"{schemes[kind.lower()]}://{rest}"


def _https(url: str, message: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        is_fine = parts.scheme == "https" and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_fine = False
    if not is_fine:
        raise Invalid({"url": [message]})
    return parts
