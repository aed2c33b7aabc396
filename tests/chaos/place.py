"""Where rigs run: an emulator, and a database on a small file system of its own."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from faces.gallery.database import connect
from faces.gallery.migrations import migrate
from local_stack.emulator import emulator_service
from local_stack.postgres import PostgresService
from local_stack.settings import free_ports

_DISK_SIZE = "700m"


class Place:
    """Emulated AWS and a database, for many runs one after the other.

    Parameters
    ----------
    folder : for everything that is written.
    disk : a small file system of its own, for the database.
    """

    def __init__(self, folder: Path, disk: Path | None = None) -> None:
        self.folder = folder
        self.disk = disk
        emulator_port, postgres_port = free_ports(2)
        self.emulator_port = emulator_port
        self.emulator = emulator_service(
            emulator_port, "http://127.0.0.1:9", folder, folder / "emulator.log"
        )
        self.postgres = PostgresService(
            postgres_port, (disk or folder) / "postgres", folder / "postgres.log", "secret"
        )
        self.postgres_port = postgres_port

    def __enter__(self) -> "Place":
        try:
            self.emulator.start()
            self.postgres.start()
            with connect(self.postgres.url) as connection:
                migrate(connection)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.postgres.stop()
        self.emulator.stop()


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
