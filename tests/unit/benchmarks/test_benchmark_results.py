"""What benchmarks conclude from what they measured."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from benchmarks.__main__ import load, main, table
from benchmarks.end_to_end import outcome
from benchmarks.plot import plot
from benchmarks.result import Figure, Machine, Outcome, Report, percentile


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.1, 100))
def test_percentiles_are_samples_with_enough_below(samples: list[float], percent: float) -> None:
    value = percentile(samples, percent)
    assert value in samples
    assert sum(sample <= value for sample in samples) >= percent / 100 * len(samples) - 1e-9


def test_percentiles_of_twenty() -> None:
    samples = [float(n) for n in range(20, 0, -1)]
    assert (percentile(samples, 50), percentile(samples, 95), percentile(samples, 100)) == (
        10,
        19,
        20,
    )


@pytest.mark.parametrize(
    ("better", "value", "met"),
    [("lower", 1.5, True), ("lower", 1.6, False), ("higher", 1.5, True), ("higher", 1.4, False)],
)
def test_targets(better: str, value: float, met: bool) -> None:
    figure = {"name": "f", "value": value, "unit": "s", "target": 1.5, "better": better}
    assert Figure.model_validate(figure).met is met
    assert Figure(name="f", value=value, unit="s").met is None


def test_a_slow_median_misses_its_target() -> None:
    assert outcome([1.0] * 20).figures[0].met is True
    assert outcome([2.0] * 20).figures[0].met is False


def test_the_table_shows_what_was_missed() -> None:
    report = Report(
        code_version="test",
        measured_at=datetime.now(UTC),
        machine=Machine.this(),
        outcomes=(outcome([2.0] * 20),),
    )
    console = Console(record=True, width=200)
    console.print(table(report))
    text = console.export_text()
    assert "≤ 1.5 s" in text
    assert "NO" in text
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    assert plot(outcome([0.5, 0.6, 0.7]), tmp_path / "plots" / "p.png")
    with Image.open(tmp_path / "plots" / "p.png") as image:
        assert image.width > 500
    assert not plot(Outcome(benchmark="b", figures=()), tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_every_benchmark_says_what_it_measures() -> None:
    assert all(each.NAME and each.SUMMARY and callable(each.run) for each in load().values())


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["speed-of-light"])
    assert "end-to-end" in capsys.readouterr().err
