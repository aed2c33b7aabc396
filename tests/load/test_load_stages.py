"""Limits fail a run, and Locust's file is read rightly."""

from dataclasses import replace
from pathlib import Path

from tests.load.stages import (
    USERS,
    Limits,
    Stage,
    overload_violations,
    read_stage,
    violations,
)

HEADER = (
    "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,"
    "Min Response Time,Max Response Time,Average Content Size,Requests/s,Failures/s,"
    "50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%\n"
)
ROW = "{},{},200,4,300,310.5,90,2000,0,9.5,0.1,300,320,350,400,600,900,1500,1900,2000,2000,2000\n"
GOOD = Stage(users=4, jobs=200, failed=0, jobs_per_second=9.5, p50=300, p95=900)
LIMITS = {users: Limits(0.01, 1_000) for users in USERS}


def test_the_row_of_whole_jobs_is_read(tmp_path: Path) -> None:
    file = tmp_path / "stats.csv"
    file.write_text(HEADER + ROW.format("POST", "/v1/jobs") + ROW.format("JOB", "whole job"))
    found = read_stage(4, file)
    assert found == replace(GOOD, failed=4)
    assert found.failure_rate == 0.02


def test_who_was_turned_away_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "stats.csv"
    rows = [ROW.format("JOB", name) for name in ("whole job", "shed", "let in")]
    file.write_text(HEADER + "".join(rows))
    found = read_stage(4, file)
    assert (found.shed, found.shed_p95, found.let_in_p95) == (200, 900, 900)


def test_a_stage_in_which_nothing_happened_is_no_good_one(tmp_path: Path) -> None:
    file = tmp_path / "stats.csv"
    file.write_text(HEADER + ROW.format("POST", "/v1/jobs"))
    assert violations([read_stage(100, file)], LIMITS) == ["100 users: no job was done"]


def test_what_is_over_a_limit_is_named() -> None:
    assert violations([GOOD], LIMITS) == []
    assert violations([replace(GOOD, failed=3)], LIMITS) == [
        "4 users: 1.5% failed, 1.0% are allowed"
    ]
    assert violations([replace(GOOD, p95=1_200)], LIMITS) == [
        "4 users: p95 is 1200 ms, not 1000 ms"
    ]


def test_under_overload_who_is_let_in_is_answered_and_who_is_not_learns_it_soon() -> None:
    good = replace(GOOD, shed=50, shed_p95=100, let_in_p95=400)
    assert overload_violations([good], 500, 200) == []
    assert overload_violations([replace(good, failed=100)], 500, 200) == [
        "4 users: 50.0% failed, 1.0% are allowed"
    ]
    assert overload_violations([replace(good, jobs=0)], 500, 200) == ["4 users: no job was done"]
    assert overload_violations([replace(good, let_in_p95=600, shed_p95=300)], 500, 200) == [
        "4 users: let in after 600 ms, not 500 ms",
        "4 users: turned away after 300 ms, not 200 ms",
    ]
    assert overload_violations([good, GOOD], 500, 200) == ["nobody was turned away"]
