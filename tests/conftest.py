"""Fixtures live in tests/fixtures, a file a subject."""

pytest_plugins = [
    "tests.fixtures.postgres",
    "tests.fixtures.aws_emulator",
    "tests.fixtures.worker_stack",
    "tests.fixtures.metadata_service",
    "tests.fixtures.fake_workers",
    "tests.fixtures.local_stack",
]
