from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from portal.extensions import tune_engine


@pytest.fixture
def now():
    return datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request, empty):
    """On a database of each kind without tables."""
    engine = tune_engine(sa.create_engine(empty(request.param)))
    yield engine
    engine.dispose()
