"""Whatever the API's own document allows, and what it does not, is answered as it says, without an error of ours (schemathesis).

Bounded: a few generated calls for each operation, the same in every run, on an app of its own.
"""

from __future__ import annotations

from collections import Counter

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from portal import create_app
from portal.api import tokens
from portal.config import Settings
from portal.extensions import db
from tests.templates import migrate

CALLS = 4
"""Generated calls for each of some fifty operations."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
NOWHERE = "https://127.0.0.1:9"
"""Microsoft, where nobody listens: connecting is tried and refused."""


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def schema(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzing")
    url = f"sqlite:///{folder}/rollcall.db"
    if request.param == "postgresql":  # which takes no NUL, no half surrogate, and no number beyond 64 bits
        url = request.getfixturevalue("postgres_databases").create_database(
            template="prepared", build=migrate
        )
    app = create_app(
        Settings(
            data_dir=folder,
            database_url=url,
            secret_key="for fuzzing only, and long enough to be used",
            scheduler="off",
            client_id="11111111-2222-3333-4444-555555555555",
            client_secret="x",
            login_url=NOWHERE,
            graph_url=NOWHERE,
        )
    )
    with app.app_context():
        if request.param == "sqlite":
            db.create_all()
        token = tokens.create("fuzzing", "administrator")
        db.session.commit()
    app.config["TESTING"] = False
    found = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    headers = {"Authorization": f"Bearer {token}"}
    made = app.test_client().post("/api/v1/organizations", json={"name": "Reef"}, headers=headers)
    assert made.status_code == 201
    yield found, headers
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


SETTINGS = hypothesis.settings(
    max_examples=CALLS,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.generate],
)


@pytest.mark.parametrize(
    "mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fitting", "unfitting"]
)
def test_no_call_is_an_error_of_ours(schema, mode):
    schema, headers = schema  # given to each call: as a setting they leave nothing to make unfitting
    called: Counter[int] = Counter()
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:

        @SETTINGS
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def call(case):
            answer = case.call(headers=headers)
            called[answer.status_code] += 1
            case.validate_response(answer, checks=CHECKS)

        call()
    assert len(operations) >= 40
    assert called.total() >= len(operations), called
    assert any(status < 300 for status in called) or mode is GenerationMode.NEGATIVE, called
