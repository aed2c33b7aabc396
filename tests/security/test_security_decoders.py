"""Hostile photos end in an answer for people, never in the end of the process."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.security.fuzz import bombs, seeds
from tests.security.mutation import Mutator

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = 20_000


def test_twenty_thousand_hostile_photos() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.security.fuzz", "--variants", str(VARIANTS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-300:]
    counts = {
        line.split(maxsplit=1)[1]: int(line.split()[0])
        for line in done.stdout.splitlines()
        if not line.startswith("slowest")
    }
    tried = VARIANTS + len(seeds()) + len(bombs())
    for part in ("intake", "worker"):
        assert sum(n for answer, n in counts.items() if answer.startswith(part)) == tried
    # They get far: half of them past the first look, and some are photos still.
    assert counts["worker corrupt_image"] > VARIANTS / 4
    assert counts["worker takes it"] > VARIANTS / 20
    assert counts["worker image_too_large"] > 0


@pytest.mark.parametrize("seed", [1, 2])
def test_a_seed_gives_the_same_variants(seed: int) -> None:
    known = [data for data, _ in seeds()]

    def variants(seed: int) -> list[tuple[int, bytes]]:
        mutator = Mutator(known, seed)
        return [mutator.variant() for _ in range(50)]

    assert variants(seed) == variants(seed) != variants(seed + 1)
    assert sum(data not in known for _, data in variants(seed)) > 45
