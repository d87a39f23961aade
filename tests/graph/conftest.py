"""A Graph client whose waits are only noted, and a Microsoft Graph that answers what a test says."""

from datetime import UTC, datetime

import pytest
import requests_mock as mocking

from portal.graph.client import GraphClient
from tests.graph.exchange import BASE, Tokens


@pytest.fixture
def waits():
    return []


@pytest.fixture
def client(waits):
    found = GraphClient(
        BASE, Tokens(), waits.append, lambda: datetime(2026, 11, 3, tzinfo=UTC), jitter=lambda: 0.0
    )
    yield found
    found.close()


@pytest.fixture
def graph():
    with mocking.Mocker() as mocker:
        yield mocker
