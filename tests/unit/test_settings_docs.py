"""docs/settings.md lists every setting, as the code has it."""

import re
from pathlib import Path

import pytest

from docs import settings_table
from faces.contracts import settings as contract
from faces.contracts.scaler_settings import ScalerSettings
from faces.contracts.scaler_tuning import ScalerTuning
from faces.contracts.worker_settings import WorkerSettings
from local_stack.settings import LocalSettings

ROOT = Path(__file__).resolve().parents[2]
CODE = ("app.py", "chalice_app", "faces", "gpu_worker", "scaler", "infra", "local_stack")
READ = re.compile(
    r"""environ(?:\.get\(|\[)\s*["']((?:FACES|SCALER|WORKER|LOCAL|TORCH)_[A-Z0-9_]+)["']"""
)

# Set by the local stack for a process of its own, never by a person.
INTERNAL = {"FACES_EMULATED", "FACES_SHELF"}


def test_the_file_is_what_the_code_says() -> None:
    assert settings_table.FILE.read_text() == settings_table.render(), "run make docs"


def test_a_setting_that_is_not_listed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    without = {key: value for key, value in settings_table.USERS.items() if "Api" not in str(key)}
    monkeypatch.setattr(settings_table, "USERS", without)
    assert settings_table.FILE.read_text() != settings_table.render()


def test_every_class_of_settings_is_in_the_table() -> None:
    declared = {
        value
        for value in vars(contract).values()
        if isinstance(value, type) and issubclass(value, contract.Settings)
    } - {contract.Settings}
    others = {WorkerSettings, ScalerSettings, ScalerTuning, LocalSettings}
    assert set(settings_table.USERS) == declared | others


def test_what_is_read_without_a_settings_object_is_listed_too() -> None:
    listed = {row.variable for row in settings_table.rows()}
    files = [ROOT / "app.py", *(path for room in CODE[1:] for path in (ROOT / room).rglob("*.py"))]
    read = {
        name for file in files if file.exists() for name in READ.findall(file.read_text("utf-8"))
    }
    assert "FACES_URL" in read
    assert read - INTERNAL <= listed
