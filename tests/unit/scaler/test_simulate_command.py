"""`python -m scaler.simulate`: what it prints, writes and draws."""

import json
from pathlib import Path

import pytest

from scaler import simulate
from scaler.simulator.report import update_seeds
from scaler.simulator.seeds import Comparison, Duel

FEW = ["--trace", "burst", "--scale", "0.05"]


def test_figures_are_printed_written_and_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    arguments = ["--rule", "flow", "--rule", "fixed", "--json", str(file), "--plots", str(tmp_path)]
    assert simulate.main([*FEW, *arguments]) == 0
    found = json.loads(file.read_text())
    (trace,) = found["traces"]
    assert (trace["trace"], trace["photos"]) == ("burst", 50)
    assert [each["rule"] for each in trace["rules"]] == ["flow", "fixed"]
    asked = {"cost", "p50", "p95", "p99", "peak", "wasted", "ratio", "photos_per_instance_hour"}
    assert all(asked <= each.keys() for each in trace["rules"])
    assert (tmp_path / "simulation-burst.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "ours: flow" in printed
    assert f"{trace['rules'][0]['cost']:.2f}" in printed


def test_many_seeds_are_compared_with_the_plain_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate.main([*FEW, "--seeds", "2"]) == 0
    printed = capsys.readouterr().out
    assert "burst" in printed
    assert "of 2" in printed


def test_the_table_over_seeds_goes_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    kept = "| flash | 9.0 | 9.0 | 1.000 |  |  | 2 of 2 |  |"
    old = f"| trace |\n|---|\n| burst | 1 |\n{kept}\n"
    page.write_text(f"before\n<!-- figures: seeds -->\n{old}<!-- end -->\nafter\n")
    duels = (Duel("burst", 0, 1.0, 2.0, 3.0, 4.0, 0, 1.1), Duel("burst", 1, 3.0, 2.0, 3.0, 4.0, 0))
    update_seeds(page, [Comparison("burst", duels)])
    text = page.read_text()
    assert text.startswith("before\n<!-- figures: seeds -->\n| trace |")
    assert (
        f"| burst | 3.0 | 4.0 | 1.000 | 1.100 | 1.100 | 1 of 2 | 1 |\n{kept}\n<!-- end -->" in text
    )
    assert text.endswith("after\n")
    page.write_text("no marks")
    with pytest.raises(ValueError, match="seeds"):
        update_seeds(page, [])


def test_an_unknown_rule_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        simulate.main([*FEW, "--rule", "best"])
    assert "invalid choice" in capsys.readouterr().err
