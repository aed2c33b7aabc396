"""Install what a command needs into `.venv` and `.venv-emulator`; standard library only.

    python3 local_stack/bootstrap.py demo    # local stack and worker
    python3 local_stack/bootstrap.py dev     # the same, tests and linters

A stamp holds the hash of the requirement files, so a second run does nothing.
"""

import hashlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
# Chalice 1.34 needs pip < 26.2 to build the Lambda package.
PIP = "pip==25.3"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
SETS = {"demo": "local.txt", "dev": "dev.txt"}


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - rich is not installed yet


def pip(venv: Path, *arguments: str) -> None:
    """Run pip in `venv`; on failure print what it said and stop."""
    command = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        say(done.stdout[-4000:])
        say(done.stderr[-4000:])
        sys.exit(f"pip {' '.join(arguments)} failed; see above. Nothing else was started.")


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


def fingerprint(*files: Path) -> str:
    digest = hashlib.sha256(f"{sys.version} {PIP}".encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def make_venv(venv: Path) -> None:
    if not (venv / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip(venv, "install", "-q", PIP)


def ensure(venv: Path, stamp_name: str, files: list[Path], install: list[list[str]]) -> None:
    """Run the pip commands unless the stamp says that they ran for these files."""
    stamp = venv / f".installed-{stamp_name}"
    wanted = fingerprint(*files)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    started = time.monotonic()
    say(f"Installing into {venv.name} ({stamp_name}); the first time takes a few minutes ...")
    make_venv(venv)
    for arguments in install:
        pip(venv, "install", "-q", *arguments)
    stamp.write_text(wanted)
    say(f"Installed into {venv.name} in {time.monotonic() - started:.0f} s.")


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - the first thing a newcomer may meet
        sys.exit(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; "
            "run make PYTHON=/path/to/python3.11"
        )
    wanted = sys.argv[1] if len(sys.argv) > 1 else "demo"
    if wanted not in SETS:
        sys.exit(f"unknown set {wanted!r}; choose one of {', '.join(SETS)}")
    requirements = REQUIREMENTS / SETS[wanted]
    nodeps = REQUIREMENTS / "worker-nodeps.txt"
    files = [ROOT / "requirements.txt", nodeps, *sorted(REQUIREMENTS.glob("*.txt"))]
    ensure(
        ROOT / ".venv",
        wanted,
        files,
        [
            [*torch_index(), "-r", str(requirements)],
            [*torch_index(), "--no-deps", "-r", str(nodeps)],
        ],
    )
    emulator = REQUIREMENTS / "emulator.txt"
    ensure(ROOT / ".venv-emulator", "emulator", [emulator], [["-r", str(emulator)]])


if __name__ == "__main__":
    main()
