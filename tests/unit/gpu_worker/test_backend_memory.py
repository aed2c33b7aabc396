"""What is done to keep a worker small harms nobody who still reads."""

import importlib.util
import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from gpu_worker.backends.memory import forget_mapped, give_large_blocks_back, make_room

SIZE = 8 << 20


def resident(file: Path) -> int:
    """Return how many bytes of a file's mappings are in this process's memory."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    return sum(
        int(next(each for each in lines if each.startswith("Rss:")).split()[1]) * 1024
        for line in lines
        if line.endswith(str(file))
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights of a network.bin"
    path.write_bytes(bytes(range(256)) * (SIZE // 256))
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_mapped_file_leaves_memory_and_can_still_be_read(file: Path) -> None:
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert sum(mapped[::4096]) >= 0
        assert resident(file) == SIZE
        assert forget_mapped(file) == SIZE
        assert resident(file) == 0
        assert mapped[:] == file.read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_was_written_to_a_private_mapping_stays(file: Path) -> None:
    with (
        file.open("rb") as opened,
        mmap.mmap(
            opened.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE
        ) as mapped,
    ):
        mapped[0] = 99
        assert forget_mapped(file) == 0
        assert mapped[0] == 99


def test_a_file_that_is_not_mapped_is_no_matter(tmp_path: Path) -> None:
    assert forget_mapped(tmp_path / "nowhere") == 0
    give_large_blocks_back()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_code_leaves_memory_and_comes_again() -> None:
    spec = importlib.util.find_spec("numpy._core._multiarray_umath")
    assert spec is not None
    library = Path(str(spec.origin)).resolve()
    values = np.arange(1000.0)
    before = np.sort(values[::-1]).sum() + np.linalg.norm(values)
    held = resident(library)
    make_room()
    assert resident(library) < held
    assert np.sort(values[::-1]).sum() + np.linalg.norm(values) == before
