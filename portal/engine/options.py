"""What the set-up pop-up offers per section, from the mirror (U2, S3, S5, S7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from portal.engine.records import NONE_VALUE, SECTIONS, FilterSpec, SectionFilter
from portal.engine.scope import value_key
from portal.engine.section_columns import COLUMNS
from portal.models import DirectoryGroup, DirectoryUser, MicrosoftTenant
from portal.text import text_key

NONE_LABEL = "(none)"

Option = dict[str, Any]


def options(
    session: Session,
    microsoft_tenant_id: str,
    saved: FilterSpec | None = None,
    sections: Collection[str] = SECTIONS,
) -> Mapping[str, list[Option]]:
    """Per section asked for ``[{"value","label","count","present"}]``, most people first, "(none)" last.

    present is false for a value of the saved filter that Microsoft does not have any more (S7). Groups have ``count`` None
    until their members were read, and also ``kind`` and ``mail``, since names repeat.
    """
    spec = saved or FilterSpec()
    verified = [
        str(domain["name"]) for domain in session.get_one(MicrosoftTenant, microsoft_tenant_id).domains
    ]

    people = [
        DirectoryUser.microsoft_tenant_id == microsoft_tenant_id,
        DirectoryUser.presence == "present",
    ]
    if not spec.include_agents:
        people.append(DirectoryUser.is_agent.is_(False))  # no people: they count for nothing (S8)

    def counted(column: Any) -> list[tuple[str, int]]:
        return _counted(people, session, column)

    by_section: dict[str, list[Option]] = {}
    for section in sections:
        match section:
            case "user_type":
                kinds = counted(DirectoryUser.user_type)
                by_section[section] = _texts(section, kinds, spec.user_type, always=("Member", "Guest"))
            case "domain":
                by_section[section] = _texts(section, _domains(people, session), spec.domain, always=verified)
            case "group":
                by_section[section] = _groups(session, microsoft_tenant_id, spec.group)
            case _:
                by_section[section] = _texts(section, counted(COLUMNS[section][1]), getattr(spec, section))
    return by_section


def _domains(people: Sequence[ColumnElement[bool]], session: Session) -> list[tuple[str, int]]:
    """Domains of the people's e-mail addresses (S5); blank for those without one."""
    numbers: Counter[str] = Counter()
    for email in session.scalars(select(DirectoryUser.email).where(*people)):
        numbers[email.rpartition("@")[2].lower()] += 1
    return list(numbers.items())


def _counted(people: Sequence[ColumnElement[bool]], session: Session, column: Any) -> list[tuple[str, int]]:
    rows = session.execute(select(column, func.count()).where(*people).group_by(column))
    return [(str(value or ""), int(number)) for value, number in rows]


def _texts(
    section: str, counted: Iterable[tuple[str, int]], chosen: SectionFilter, *, always: Sequence[str] = ()
) -> list[Option]:
    """One entry per value as S3 compares them; its most frequent spelling is the label (S3)."""
    spellings: dict[str, Counter[str]] = {}
    for value, number in counted:
        spellings.setdefault(value_key(section, value), Counter())[value.strip()] += number
    listed = []
    for key, spelled in spellings.items():
        label = max(spelled.items(), key=lambda item: (item[1], item[0]))[0] if key else NONE_LABEL
        listed.append(_option(label if key else NONE_VALUE, label, sum(spelled.values())))
    listed_keys = set(spellings)
    for value in (*always, *chosen.values):
        if (key := value_key(section, value)) not in listed_keys:
            listed_keys.add(key)
            is_fact = value in always
            listed.append(_option(value, value or NONE_LABEL, 0, present=is_fact or not value))
    return sorted(
        listed, key=lambda o: (o["value"] == NONE_VALUE, -(o["count"] or 0), text_key(str(o["label"])))
    )


def _groups(session: Session, microsoft_tenant_id: str, chosen: SectionFilter) -> list[Option]:
    rows = session.execute(
        select(
            DirectoryGroup.object_id,
            DirectoryGroup.display_name,
            DirectoryGroup.kind,
            DirectoryGroup.hides_members,
            DirectoryGroup.mail,
            DirectoryGroup.member_count,
            DirectoryGroup.members_read_at,
            DirectoryGroup.is_deleted,
        ).where(DirectoryGroup.microsoft_tenant_id == microsoft_tenant_id)
    )
    chosen_ids = {value for value in chosen.values if value}
    listed = []
    for object_id, name, kind, hides_members, mail, members, read_at, is_deleted in rows:
        if is_deleted and object_id not in chosen_ids:
            continue
        count = members if read_at is not None and not is_deleted else None
        listed.append(
            {
                **_option(object_id, name or object_id, count, present=not is_deleted),
                "kind": f"{kind}, hidden members" if hides_members else kind,
                "mail": mail,
            }
        )
        chosen_ids.discard(object_id)
    listed += [
        {**_option(value, value, None, present=False), "kind": "", "mail": ""} for value in sorted(chosen_ids)
    ]
    return sorted(listed, key=lambda o: (-(o["count"] or 0), text_key(str(o["label"])), o["value"]))


def _option(value: str, label: str, count: int | None, *, present: bool = True) -> Option:
    return {"value": value, "label": label, "count": count, "present": present}
