"""Steps that tests of imports share: a file is sent, told of, undone, and somebody else takes its locks."""

import uuid

import sqlalchemy as sa

from portal.api import tokens
from portal.extensions import db


def upload(api, organization, text, kind="end-users", query="", **headers):
    data = text if isinstance(text, bytes) else text.encode()
    path = f"/organizations/{organization['id']}/{kind}/import{query}"
    status, document = api("POST", path, data=data, content_type="text/csv", headers=headers)
    assert status in {200, 202}, document
    return document


def told(report):
    return (
        report["created"],
        report["updated"],
        report["unchanged"],
        [one["line"] for one in report["rejected"]],
    )


def people(api, organization):
    found = api("GET", f"/organizations/{organization['id']}/end-users?per_page=500")[1]["items"]
    return {one["email"]: one for one in found}


def assets(api, organization):
    return api("GET", f"/organizations/{organization['id']}/assets?per_page=500")[1]["items"]


def token_of(app):
    with app.app_context():
        token = tokens.create(f"test {uuid.uuid4()}", "technician")
        db.session.commit()
    return token


def undone(api, report, status=200, **headers):
    found, document = api("POST", f"/imports/{report['import_id']}/undo", data=b"", headers=headers)
    assert found == status, document
    return document


class Elsewhere:
    """Somebody else who takes, from the second transaction of an import on, what every one of them needs."""

    def __init__(self, url):
        self._engine = sa.create_engine(url, poolclass=sa.NullPool)
        self._other = None

    def take(self, size, *_told):
        if self._other is None:
            self._other = self._engine.connect()
            is_sqlite = self._engine.dialect.name == "sqlite"
            self._other.exec_driver_sql(
                "BEGIN IMMEDIATE" if is_sqlite else "LOCK TABLE organizations, end_users IN EXCLUSIVE MODE"
            )
        return size

    def give_back(self):
        self._other.rollback()
        self._other.close()
