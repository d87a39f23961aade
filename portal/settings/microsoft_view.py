"""What Settings > Microsoft shows: the app registration of a cloud, and what of it ends when (C1, C5). No queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from portal.graph.clouds import DEFAULT, REGISTRATIONS
from portal.http.formatting import plural
from portal.microsoft.credentials import Overview
from portal.microsoft.expiry import WARN_DAYS, End
from portal.settings import permissions, registration


@dataclass(frozen=True)
class CloudRow:
    """A cloud and its app registration. client_id: "" for none."""

    href: str
    name: str
    client_id: str
    expires_at: datetime | None
    is_shown: bool


@dataclass(frozen=True)
class EndRow:
    """Something that ends. left: how soon; due: when to act, "" for not yet; is_urgent: at once."""

    what: str
    link: str
    at: datetime | None
    left: str
    due: str
    is_urgent: bool
    to_do: str


@dataclass(frozen=True)
class MicrosoftView:
    """The page. cloud: the name of one that is not the default, "" for that; removal: the address of the question, "" for none.

    callback: the portal's address for Microsoft's answers, "" while that is not known; consent_link: "" without it.
    """

    overview: Overview
    cloud: str
    action: str
    removal: str
    is_tried: bool
    callback: str
    consent_link: str
    guide_title: str
    guide: Sequence[registration.GuideStep]
    manifest: str
    clouds: Sequence[CloudRow]
    ends: Sequence[EndRow]
    permissions: Sequence[permissions.Permission]

    @property
    def is_environment(self) -> bool:
        """The environment sets the app registration, so it cannot be entered here."""
        return self.overview.source == "environment"


def microsoft_view(
    overview: Overview,
    cloud: str,
    *,
    addresses: Mapping[str, str],
    overviews: Mapping[str, Overview],
    removal: str,
    is_tried: bool,
    callback: str | None,
    consent_link: str,
    ends: Iterable[End],
    now: datetime,
) -> MicrosoftView:
    """The record of the page. addresses: cloud → where it is shown; overviews: cloud → its app registration."""
    title = "In the Microsoft Entra admin center"
    return MicrosoftView(
        overview=overview,
        cloud="" if cloud == DEFAULT else REGISTRATIONS[cloud],
        action=addresses[cloud],
        removal=removal if overview.source == "settings" else "",
        is_tried=is_tried,
        callback=callback or "",
        consent_link=consent_link,
        guide_title=title if overview.client_id else f"First, {title[0].lower()}{title[1:]}",
        guide=registration.steps(overview.client_id, cloud),
        manifest=permissions.manifest(),
        clouds=[
            CloudRow(addresses[home], REGISTRATIONS[home], row.client_id, row.expires_at, home == cloud)
            for home, row in overviews.items()
        ],
        ends=[_end(end, now) for end in ends],
        permissions=permissions.PERMISSIONS + permissions.PARTNER_PERMISSIONS,
    )


def _end(end: End, now: datetime) -> EndRow:
    left, step = end.days_left(now), end.step(now)
    if left is None:
        to_do = "Enter the day, so that the portal can warn in time."
        return EndRow(end.what, end.link, None, "", "", is_urgent=False, to_do=to_do)
    soon = "Has expired" if left < 0 else f"{plural(left, 'day')} left"
    is_urgent = step == WARN_DAYS[0]
    due = "" if step is None else "Now" if is_urgent else f"Within {step} days"
    return EndRow(end.what, end.link, end.at, soon, due, is_urgent, end.advice if due else "Nothing yet")
