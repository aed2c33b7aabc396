"""Install what a command needs into `.venv` and `.venv-emulator`; standard library only.

    python3 local_stack/bootstrap.py demo    # local stack and worker
    python3 local_stack/bootstrap.py dev     # the same, tests and linters
    python3 local_stack/bootstrap.py checkov # the scanner of the templates, apart from all

A stamp holds the hash of the requirement files, so a second run does nothing. It is
removed before an installation and written after it: one that was interrupted, at any
point, is done again. A lock keeps two commands from installing at the same time.
"""

from __future__ import annotations  # an older Python shall say that it is too old

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
# Chalice 1.34 needs pip < 26.2 to build the Lambda package.
PIP = "pip==25.3"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CHECKOV = "checkov"
SETS = {"demo": "local.txt", "dev": "dev.txt"}
# What `dev` installs holds what `demo` does.
CONTAINED_IN = {"demo": ("demo", "dev"), "dev": ("dev",)}
NOTE_EVERY_SECONDS = 30.0


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - rich is not installed yet


def fingerprint(*files: Path) -> str:
    """Return the hash of the Python, the pip and the requirements that make an environment."""
    digest = hashlib.sha256(f"{sys.version} {PIP} {ROOT}".encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def pip(venv: Path, *arguments: str) -> None:
    """Run pip in `venv`; on failure print what it said and stop."""
    command = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    with notes(f"still installing into {venv.name}"):
        done = subprocess.run(
            [*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        say(done.stdout[-2000:])
        say(done.stderr[-4000:])
        sys.exit(
            f"pip {' '.join(arguments)} failed, see above. Nothing was started; "
            "run the same command again when the cause is gone."
        )


@contextlib.contextmanager
def notes(text: str) -> Iterator[None]:
    """Print `text` now and then, so that a long silence is not taken for the end."""
    over = threading.Event()
    started = time.monotonic()

    def tell() -> None:
        while not over.wait(NOTE_EVERY_SECONDS):
            say(f"  ... {text} ({time.monotonic() - started:.0f} s)")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def torch_index() -> list[str]:
    """Return the options that make pip choose the CPU build of torch on Linux.

    PyPI's Linux build brings gigabytes of CUDA libraries. Where PyTorch's own index
    cannot be reached, pip's configured index must offer a build that fits.
    """
    if sys.platform != "linux" or os.environ.get("FACES_TORCH") == "default":
        return []
    request = urllib.request.Request(TORCH_CPU_INDEX + "/torch/", method="HEAD")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310
            return ["--extra-index-url", TORCH_CPU_INDEX]
    except (urllib.error.URLError, OSError, TimeoutError):
        return []


def usable(venv: Path) -> bool:
    """Return whether the environment's own Python and pip run."""
    command = [str(venv / "bin" / "python"), "-m", "pip", "--version"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def make_venv(venv: Path) -> None:
    """Make the environment; one that is broken, or half made, is made anew."""
    if not usable(venv):
        shutil.rmtree(venv, ignore_errors=True)
        done = subprocess.run(
            [sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            shutil.rmtree(venv, ignore_errors=True)
            sys.exit(why_no_venv(done.stdout + done.stderr))
    pip(venv, "install", "-q", PIP)


def why_no_venv(output: str) -> str:
    """Return what to do about a `python -m venv` that failed."""
    if "ensurepip" in output or "No module named venv" in output:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        return (
            f"{sys.executable} cannot make virtual environments: its ensurepip is missing. "
            f"On Debian and Ubuntu: apt install python{version}-venv; elsewhere install a "
            "complete Python and run make PYTHON=/path/to/it"
        )
    return f"{sys.executable} -m venv failed:\n{output[-2000:]}"


def installed(venv: Path, names: tuple[str, ...], wanted: str) -> bool:
    """Return whether a stamp of one of `names` says so, and the environment is still there."""
    stamps = [venv / f".installed-{name}" for name in names]
    fresh = any(stamp.is_file() and stamp.read_text() == wanted for stamp in stamps)
    return fresh and (venv / "bin" / "python").exists()


def ensure(venv: Path, name: str, wanted: str, install: list[list[str]]) -> None:
    """Run the pip commands unless a stamp says that they ran for `wanted`."""
    if installed(venv, CONTAINED_IN.get(name, (name,)), wanted):
        return
    started = time.monotonic()
    say(f"Installing into {venv.name} ({name}); the first time takes a few minutes ...")
    for stamp in venv.glob(".installed-*"):
        stamp.unlink()
    make_venv(venv)
    for arguments in install:
        pip(venv, "install", "-q", *arguments)
    (venv / f".installed-{name}").write_text(wanted)
    say(f"Installed into {venv.name} in {time.monotonic() - started:.0f} s.")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other command installs."""
    folder = ROOT / ".local"
    folder.mkdir(exist_ok=True)
    with (folder / "install.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another command is installing; waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> None:
    """Install one of `SETS`."""
    if sys.version_info < (3, 11):  # noqa: UP036 - the first thing a newcomer may meet
        sys.exit(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; "
            "run make PYTHON=/path/to/python3.11"
        )
    wanted = arguments[0] if arguments else "demo"
    if wanted == CHECKOV:
        scanner = REQUIREMENTS / "tools" / "checkov.txt"
        with alone():
            install = [["-r", str(scanner)]]
            ensure(ROOT / ".venv-checkov", CHECKOV, fingerprint(scanner), install)
        return
    if wanted not in SETS:
        sys.exit(f"unknown set {wanted!r}; choose one of {', '.join(SETS)}")
    nodeps = REQUIREMENTS / "worker-nodeps.txt"
    emulator = REQUIREMENTS / "emulator.txt"
    files = [ROOT / "requirements.txt", *sorted(REQUIREMENTS.glob("*.txt"))]
    venv, everything = ROOT / ".venv", fingerprint(*files)
    with alone():
        if not installed(venv, CONTAINED_IN[wanted], everything):
            index = torch_index()
            ensure(
                venv,
                wanted,
                everything,
                [
                    [*index, "-r", str(REQUIREMENTS / SETS[wanted])],
                    [*index, "--no-deps", "-r", str(nodeps)],
                    # For the command `faces`.
                    ["--no-deps", "--no-build-isolation", "-e", str(ROOT)],
                ],
            )
        ensure(ROOT / ".venv-emulator", "emulator", fingerprint(emulator), [["-r", str(emulator)]])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("Interrupted; the next run installs what is missing.")
