"""Find the FaceNet weights, or fetch them; without torch, so that a check is quick.

The file lies where facenet-pytorch looks for it, in `$TORCH_HOME/checkpoints`. MTCNN's
weights are in facenet-pytorch's wheel.
"""

import os
import queue
import threading
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Protocol

from gpu_worker.backends.base import ModelUnusableError

FILE_NAME = "20180402-114759-vggface2.pt"
URL = f"https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/{FILE_NAME}"

CONNECT_SECONDS = 5.0
_READ_SECONDS = 30.0
_CHUNK_BYTES = 1 << 20


class Download(Protocol):
    """An open download, such as urllib's response."""

    def read(self, amount: int, /) -> bytes: ...

    def close(self) -> None: ...


OpenUrl = Callable[[str], Download]


def weights_path(environ: Mapping[str, str]) -> Path:
    """Return where the weights belong, by the rules of torch's cache folder."""
    cache = environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = environ.get("TORCH_HOME") or str(Path(cache) / "torch")
    return Path(home).expanduser() / "checkpoints" / FILE_NAME


def _open_url(url: str) -> Download:
    response: Download = urllib.request.urlopen(url, timeout=_READ_SECONDS)  # noqa: S310
    return response


def ensure_weights(
    path: Path, *, open_url: OpenUrl = _open_url, connect_seconds: float = CONNECT_SECONDS
) -> Path:
    """Return `path` once the weights lie there; download them if they do not.

    Raises
    ------
    ModelUnusableError
        When the file is missing and cannot be downloaded; known after
        `connect_seconds` where there is no network.
    """
    if path.is_file():
        return path
    try:
        download = _connect(open_url, connect_seconds)
        with closing(download):
            _save(download, path)
    except OSError as error:
        raise ModelUnusableError(
            f"The FaceNet weights {FILE_NAME} are missing and cannot be downloaded "
            f"({error or type(error).__name__}): fetch them from {URL} and put them at {path}."
        ) from error
    return path


def _connect(open_url: OpenUrl, seconds: float) -> Download:
    """Open the URL; give up after `seconds`, also when the name server does not answer.

    urllib's own time limit does not cover the name look-up, so a thread does the waiting;
    one that never returns is left behind as a daemon.
    """
    outcome: queue.SimpleQueue[Download | OSError] = queue.SimpleQueue()

    def connect() -> None:
        try:
            outcome.put(open_url(URL))
        except OSError as error:
            outcome.put(error)

    threading.Thread(target=connect, name="download", daemon=True).start()
    try:
        result = outcome.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if isinstance(result, OSError):
        raise result
    return result


def _save(download: Download, path: Path) -> None:
    """Write the file under another name first: a reader never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            while chunk := download.read(_CHUNK_BYTES):
                file.write(chunk)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
