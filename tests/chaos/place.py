"""Where rigs run: an emulator, and a database on a small file system of its own."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.rig import Place

_DISK_SIZE = "700m"


@contextlib.contextmanager
def own_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a small file system where that is allowed."""
    disk = folder / "disk"
    disk.mkdir(mode=0o711)
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", f"size={_DISK_SIZE},mode=711", "tmpfs", str(disk)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """Start the emulator and a database in a folder that is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="faces-chaos-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        with own_disk(folder) as disk, Place(folder, disk) as made:
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)
