"""Fixtures live in tests/fixtures, a file a subject."""

from hypothesis import HealthCheck, settings

# The same examples on each run, however busy the machine; `--hypothesis-profile=search` looks
# for others.
settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")

pytest_plugins = [
    "tests.fixtures.postgres",
    "tests.fixtures.aws_emulator",
    "tests.fixtures.worker_stack",
    "tests.fixtures.metadata_service",
    "tests.fixtures.fake_workers",
    "tests.fixtures.local_stack",
]
