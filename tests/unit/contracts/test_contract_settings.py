"""Settings come from the environment; what is wrong is named."""

import pytest

from faces.contracts.scaler_settings import ScalerSettings
from faces.contracts.settings import (
    ApiSettings,
    DatabaseSettings,
    Settings,
    SettingsError,
    StackSettings,
)
from faces.contracts.worker_settings import WorkerSettings

GOOD = {"DATABASE_URL": "postgresql://localhost/faces"}
ALL: list[type[Settings]] = [
    StackSettings,
    DatabaseSettings,
    ApiSettings,
    WorkerSettings,
    ScalerSettings,
]


@pytest.mark.parametrize("settings", ALL)
def test_defaults_are_valid_and_empty_means_unset(settings: type[Settings]) -> None:
    names = {field.alias for field in settings.model_fields.values() if field.alias}
    empty = dict.fromkeys(names - set(GOOD), "")
    assert settings.load({**empty, **GOOD}) == settings.load(GOOD)


def test_the_defaults_themselves_keep_the_rules() -> None:
    for settings in ALL:
        loaded = settings.load(GOOD)
        given = {
            field.alias: str(getattr(loaded, name))
            for name, field in settings.model_fields.items()
            if field.alias
        }
        assert settings.load(given) == loaded


@pytest.mark.parametrize(
    ("settings", "variable", "value"),
    [
        (StackSettings, "FACES_STACK", "Faces_Local"),
        (StackSettings, "FACES_STACK", "ab"),
        (StackSettings, "FACES_LOG_LEVEL", "chatty"),
        (DatabaseSettings, "FACES_UNMATCHED_SECONDS", "9"),
        (ApiSettings, "FACES_API_KEY_SHA256", "not-hex"),
        (ApiSettings, "FACES_ID_SECRET", "short"),
        (ApiSettings, "FACES_MAX_UPLOAD_BYTES", "1.5"),
        (ApiSettings, "FACES_UPLOAD_SECONDS", "4000"),
        (WorkerSettings, "WORKER_BATCH_SIZE", "11"),
        (WorkerSettings, "WORKER_IDLE_SECONDS", "0"),
        (WorkerSettings, "FACES_FALSE_ACCEPT_RATE", "1.1"),
        (ScalerSettings, "SCALER_MESSAGES_PER_INSTANCE", "0"),
        (ScalerSettings, "SCALER_TICK_SECONDS", "many"),
    ],
)
def test_a_wrong_value_names_its_variable(
    settings: type[Settings], variable: str, value: str
) -> None:
    with pytest.raises(SettingsError, match=variable):
        settings.load({**GOOD, variable: value})


def test_every_wrong_variable_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        ScalerSettings.load({"SCALER_TICK_SECONDS": "0", "SCALER_MAX_INSTANCES": "-1"})
    assert "SCALER_TICK_SECONDS" in str(caught.value)
    assert "SCALER_MAX_INSTANCES" in str(caught.value)


def test_a_missing_database_is_named() -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        WorkerSettings.load({})


def test_limits_out_of_order_are_refused() -> None:
    with pytest.raises(SettingsError, match="SCALER_MIN_INSTANCES"):
        ScalerSettings.load({"SCALER_MIN_INSTANCES": "3", "SCALER_MAX_INSTANCES": "2"})


def test_secrets_are_not_printed() -> None:
    secrets = {
        "DATABASE_URL": "postgresql://u:hunter2@h/d",
        "FACES_ID_SECRET": "hunter2" * 5,
        "FACES_API_KEY_SHA256": "ab" * 32,
    }
    text = repr(ApiSettings.load(secrets))
    assert "hunter2" not in text
    assert "abab" not in text


def test_a_wrong_secret_is_not_printed_either() -> None:
    with pytest.raises(SettingsError) as caught:
        ApiSettings.load({**GOOD, "FACES_ID_SECRET": "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("settings", ALL)
def test_every_setting_has_a_variable_and_a_description(settings: type[Settings]) -> None:
    for name, field in settings.model_fields.items():
        assert field.alias, name
        assert field.description, name
