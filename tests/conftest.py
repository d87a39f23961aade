"""What every test may ask for. Fixtures of one folder live in that folder's own conftest.py."""

import pytest

from portal.http import refusals

pytest_plugins = ["tests.postgres", "tests.templates", "tests.write_guard"]


@pytest.fixture(scope="session", autouse=True)
def no_afterthoughts():
    """A minute after a test its portal is gone: what was only counted by then is recorded with ``Refusals.flush``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refusals, "_later", lambda delay, call: None)
        yield
