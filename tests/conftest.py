"""What every test may ask for. Fixtures of one folder live in that folder's own conftest.py."""

pytest_plugins = ["tests.postgres", "tests.templates", "tests.write_guard"]
