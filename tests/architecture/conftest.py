"""One process looks at the source: to parse it takes seconds, and the trees stay."""

import pytest

READERS = ("tests.architecture.", "tests.tooling.test_sizes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group who reads the source, also of other folders."""
    for item in items:
        if isinstance(item, pytest.Function) and item.module.__name__.startswith(READERS):
            item.add_marker(pytest.mark.xdist_group("source"))
