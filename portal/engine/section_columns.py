"""The columns of the mirror that the sections of the filters look at."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.orm import InstrumentedAttribute

from portal.models import DirectoryUser

COLUMNS: Mapping[str, tuple[InstrumentedAttribute[str], InstrumentedAttribute[str]]] = {
    # section: (what it compares, S3; how that is written in Microsoft)
    "user_type": (DirectoryUser.user_type, DirectoryUser.user_type),
    "domain": (DirectoryUser.domain, DirectoryUser.domain),
    "office_location": (DirectoryUser.office_key, DirectoryUser.office_location),
    "department": (DirectoryUser.department_key, DirectoryUser.department),
}
"""Of every section but Group, which is about members."""
