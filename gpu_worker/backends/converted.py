"""Find the networks as OpenVINO reads them, or have them converted; without torch.

They lie in a folder named after what they were made from, so that other weights or
another converter never meet old files. The conversion takes ten seconds and happens once:
one process does it, others wait for it.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gpu_worker.backends.base import ModelUnusableError

log = logging.getLogger(__name__)

_FORM = "2"
"""Changes whenever `gpu_worker.backends.convert` writes something else."""

_PACKAGES = ("openvino", "facenet-pytorch")
_SECONDS = 600
_ROOT = Path(__file__).resolve().parents[2]


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return where converted networks are kept: `WORKER_CACHE`, else below the user's cache."""
    own = environ.get("WORKER_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "elastic-faces"


def ensure_converted(weights: Path, cache: Path) -> Path:
    """Return the folder with the converted networks; convert them if it is not there.

    Raises
    ------
    ModelUnusableError
        When the weights are damaged, a package is missing or the folder cannot be written.
    """
    try:
        folder = cache / f"networks-{_fingerprint(weights)}"
        if folder.is_dir():
            return folder
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "networks.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                _convert(weights, folder)
    except OSError as error:
        raise ModelUnusableError(
            f"The networks cannot be kept in {cache} ({error}); "
            "set WORKER_CACHE to a folder that can be written."
        ) from error
    return folder


def _fingerprint(weights: Path) -> str:
    digest = hashlib.sha256(_FORM.encode())
    for name in _PACKAGES:
        try:
            digest.update(f"{name}={version(name)};".encode())
        except PackageNotFoundError:
            raise ModelUnusableError(f"The package {name} is not installed.") from None
    with weights.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:20]


def _convert(weights: Path, folder: Path) -> None:
    """Convert into another folder first: a reader never meets half of the networks."""
    log.info("converting the networks for OpenVINO, once; this takes some seconds")
    part = Path(tempfile.mkdtemp(prefix="part-", dir=folder.parent))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "gpu_worker.backends.convert", str(weights), str(part)],
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise ModelUnusableError(lines[-1])
        part.replace(folder)
    except subprocess.TimeoutExpired:
        raise ModelUnusableError(
            f"Converting the networks took more than {_SECONDS} s; start the worker again."
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
