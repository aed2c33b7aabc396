"""Fixtures live in tests/fixtures, a file a subject."""

pytest_plugins = ["tests.fixtures.postgres"]
