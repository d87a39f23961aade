import pytest
import sqlalchemy as sa
from sqlalchemy.orm import sessionmaker

from portal.engine import people_version
from portal.extensions import tune_engine
from tests.sync.world import World
from tests.templates import migrate


@pytest.fixture(params=["sqlite", "postgresql"])
def sessions(request, prepared):
    engine = tune_engine(sa.create_engine(prepared(request.param)))
    people_version.watch()
    yield sessionmaker(engine, expire_on_commit=False)
    engine.dispose()


@pytest.fixture
def postgres_sessions(postgres_copy):
    """For what only happens where several write at once."""
    engine = tune_engine(sa.create_engine(postgres_copy("prepared", migrate)))
    people_version.watch()
    yield sessionmaker(engine, expire_on_commit=False)
    engine.dispose()


@pytest.fixture
def world(sessions):
    return World(sessions)
