"""The command line that deploys to AWS."""

import pytest

from faces.contracts.settings import SettingsError
from infra.__main__ import lambda_environment, main

ENVIRON = {
    "FACES_STACK": "faces-x",
    "FACES_API_KEY_SHA256": "a" * 64,
    "FACES_ID_SECRET": "s" * 32,
    "DATABASE_URL": "postgresql://x",
    "SCALER_MAX_INSTANCES": "3",
    "WORKER_ID": "i-1",
    "HOME": "/home/someone",
    "FACES_PUBLIC_URL": "",
}


def test_lambdas_get_the_settings_that_are_set_and_nothing_else() -> None:
    assert lambda_environment(ENVIRON) == {
        "SCALER_READY_TAG": "true",
        **{
            name: value
            for name, value in ENVIRON.items()
            if name not in ("WORKER_ID", "HOME", "FACES_PUBLIC_URL")
        },
    }


@pytest.mark.parametrize("missing", ["FACES_API_KEY_SHA256", "FACES_ID_SECRET", "DATABASE_URL"])
def test_nothing_is_deployed_without_what_the_api_needs(missing: str) -> None:
    with pytest.raises(SettingsError, match=missing):
        lambda_environment({**ENVIRON, missing: ""})


def test_a_wrong_setting_ends_the_command_with_its_name() -> None:
    with pytest.raises(SystemExit, match="SCALER_MAX_INSTANCES"):
        main(["deploy"], {**ENVIRON, "SCALER_MAX_INSTANCES": "many"})


def test_a_parameter_needs_a_value(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["deploy", "--parameter", "WorkerImageId"], ENVIRON)
    assert "NAME=VALUE" in capsys.readouterr().err
