"""What a user can mend is told in one line, before the work begins."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.accuracy import __main__ as accuracy
from benchmarks.accuracy import ablation, best_or_mean, calibrate, quality
from benchmarks.accuracy.command import run

MAINS = [
    pytest.param(each.main, id=each.__name__)
    for each in (accuracy, ablation, best_or_mean, calibrate, quality)
]
Main = Callable[[list[str]], int]


@pytest.mark.parametrize("main", MAINS)
def test_a_folder_without_photos_is_named(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["it", str(tmp_path)])
    assert run(main) == 2
    assert "holds no" in capsys.readouterr().out


@pytest.mark.parametrize("main", [ablation.main, calibrate.main, quality.main])
def test_what_learns_from_one_fold_needs_another(
    main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Ann").mkdir()
    (tmp_path / "Ann" / "Ann_0001.jpg").write_bytes(b"")
    monkeypatch.setattr(sys, "argv", ["it", str(tmp_path)])
    assert run(main) == 2
    assert "two folds" in capsys.readouterr().out


def test_an_interruption_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["it"])
    assert run(interrupted) == 130
    assert "goes on" in capsys.readouterr().out


@pytest.mark.parametrize("main", [accuracy.main, ablation.main, quality.main])
def test_figures_need_a_folder_before_the_work(
    main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), "--json", str(tmp_path / "nowhere" / "figures.json")])
    assert ended.value.code == 2
    assert "there is no folder" in capsys.readouterr().err
