"""What emulated Lambdas inherit."""

from pathlib import Path

from local_stack.emulator import ROOT_CREDENTIALS, emulator_environment

ENVIRON = {
    "PATH": "/bin",
    "HOME": "/home/someone",
    "PYTHONPATH": "/checkout",
    "AWS_PROFILE": "production",
    "AWS_SESSION_TOKEN": "real",
    "DATABASE_URL": "postgresql://real",
    "AUTH": "false",
}


def test_nothing_of_the_shell_reaches_a_lambda_but_the_harmless() -> None:
    made = emulator_environment(4566, "http://127.0.0.1:4567", Path("/state"), ENVIRON)
    assert made["PATH"] == "/bin"
    assert not {"PYTHONPATH", "AWS_PROFILE", "AWS_SESSION_TOKEN", "DATABASE_URL"} & made.keys()


def test_permissions_are_always_enforced_and_everything_stays_here() -> None:
    made = emulator_environment(4566, "http://127.0.0.1:4567", Path("/state"), ENVIRON)
    assert made["AUTH"] == "true"
    assert made["BIND_HOST"] == made["MINISTACK_HOST"] == "127.0.0.1"
    assert made["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert made["AWS_ENDPOINT_URL_EC2"] == "http://127.0.0.1:4567"
    assert {made[name] for name in ROOT_CREDENTIALS} == {"test"}
    assert {made["TMPDIR"], made["S3_DATA_DIR"]} == {"/state/tmp", "/state/s3"}
