import pytest
import sqlalchemy as sa
from sqlalchemy.orm import sessionmaker

from portal.engine import people_version
from portal.extensions import tune_engine
from portal.models import Base
from tests.sync.world import World


def _build(url):
    engine = sa.create_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def sessions(request, tmp_path):
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/sync.db"
        _build(url)
    else:
        url = request.getfixturevalue("postgres_databases").create_database(template="sync", build=_build)
    engine = tune_engine(sa.create_engine(url))
    people_version.watch()
    yield sessionmaker(engine, expire_on_commit=False)
    engine.dispose()


@pytest.fixture
def postgres_sessions(postgres_databases):
    """For what only happens where several write at once."""
    engine = tune_engine(sa.create_engine(postgres_databases.create_database(template="sync", build=_build)))
    people_version.watch()
    yield sessionmaker(engine, expire_on_commit=False)
    engine.dispose()


@pytest.fixture
def world(sessions):
    return World(sessions)
