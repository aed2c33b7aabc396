"""Keeps a worker process small; on systems other than Linux it does nothing."""

import ctypes
import mmap
from collections.abc import Callable
from pathlib import Path

_M_MMAP_THRESHOLD = -3  # malloc.h
_M_ARENA_MAX = -8
_LARGE_BLOCK_BYTES = 4 << 20
_ARENAS = 2

_MAPS = Path("/proc/self/maps")


def give_large_blocks_back() -> None:
    """Have glibc return memory of large photos to the system as soon as it is free.

    By itself it raises its limit to 32 MiB and then keeps what is freed: after a photo of
    12 megapixels a worker stayed 60 MB larger. It also keeps a heap for each thread, up to
    eight a core; the pipeline has a dozen threads.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)
        libc.mallopt(_M_ARENA_MAX, _ARENAS)


def make_room() -> None:
    """Let go of free memory, and of code: what is needed again comes again, in milliseconds.

    Of a library's code the system brings whatever lies near what runs, where it has the file
    in memory: 119 MB instead of 87.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    # Code only: other read-only areas may have been written to before, by the linker.
    _forget(lambda rights, path: path.startswith("/") and rights.startswith("r-x"))


def forget_mapped(file: Path) -> int:
    """Take the pages of a file that is mapped read-only out of memory; return their bytes.

    OpenVINO maps a network's weights and keeps the mapping, though it works with a copy in
    an order of its own: 94 MB of FaceNet that nobody reads again. Who does read them finds
    them in the file.
    """
    name = str(file.resolve())
    # What was written to a private mapping would be lost.
    return _forget(lambda rights, path: path == name and "w" not in rights)


def _forget(chosen: Callable[[str, str], bool]) -> int:
    """Take mapped areas, chosen by rights and path, out of memory; return their bytes."""
    if not _MAPS.is_file() or not hasattr(mmap, "MADV_DONTNEED"):
        return 0
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    forgotten = 0
    for line in _MAPS.read_text().splitlines():
        area, rights, _, _, _, *path = line.split(maxsplit=5)
        if not path or not chosen(rights, path[0]):
            continue
        start, end = (int(each, 16) for each in area.split("-"))
        if libc.madvise(start, end - start, mmap.MADV_DONTNEED) == 0:
            forgotten += end - start
    return forgotten
