"""Runs the worker's pipeline over photos in two processes and keeps what it found.

What is kept of a photo goes by its content and the pipeline's tag, so an interrupted run
goes on where it was, and a changed pipeline measures anew.
"""

import hashlib
import pickle
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from benchmarks.accuracy.networks import chosen, load_networks
from faces.contracts.errors import FacesError
from faces.contracts.jobs import ContentType, QualityFilter
from faces.contracts.results import FaceQuality
from gpu_worker.analysis import central_face, embed_and_score, find_faces, rivals
from gpu_worker.backends.base import FloatArray, RgbImage
from gpu_worker.backends.choice import Backend
from gpu_worker.calibration import load_centre
from gpu_worker.photos import decode
from gpu_worker.profiles import Profile

_CHUNK = 24
_FORMAT = 4
"""Of the records; another number makes all be measured anew."""

_TYPES = {".png": ContentType.PNG, ".webp": ContentType.WEBP}
_MAX_PIXELS = 100_000_000


@dataclass(frozen=True, eq=False)
class Record:
    """What the worker made of a photo.

    Attributes
    ----------
    error : why there is no face to recognise, such as `no_face` or `corrupt_image`.
    vectors : (512,) float32 of the face that the photo is of, by profile name.
    quality : of that face; its reasons are those by which an enrolment is refused.
    rivals : other faces that could be meant; an enrolment is refused then.
    milliseconds : by stage; `crop` and `embed` followed by the profile's name.
    """

    error: str | None = None
    vectors: dict[str, FloatArray] = field(default_factory=dict)
    quality: FaceQuality | None = None
    confidence: float = 0.0
    rivals: int = 0
    milliseconds: dict[str, float] = field(default_factory=dict)

    @property
    def enrollable(self) -> bool:
        """Whether an enrolment job would take the photo."""
        return self.quality is not None and not self.rivals and not self.quality.reasons


@dataclass(frozen=True)
class Look:
    """How a measurement differs from a worker's usual work.

    Attributes
    ----------
    width : the photo is scaled to so many pixels across first; 0 leaves it as it is.
    largest : the largest face is taken, not the one that the photo is of.
    """

    width: int = 0
    largest: bool = False


LIKE_A_WORKER = Look()


def recognise(
    networks: Backend,
    profiles: Sequence[Profile],
    data: bytes,
    content_type: ContentType,
    look: Look,
) -> Record:
    """Run one photo through the stages of a worker, the last ones once a profile.

    Parameters
    ----------
    look : for measurements only; a worker's is `Look()`.
    """
    spent: dict[str, float] = {}
    try:
        with _timed(spent, "decode"):
            image = decode(data, content_type, _MAX_PIXELS).pixels
    except FacesError as error:
        return Record(error=str(error.code), milliseconds=spent)
    image = _scaled(image, look.width) if look.width else image
    with _timed(spent, "detect"):
        [detections] = networks.detector.detect([image])
    record = Record(error="no_face", milliseconds=spent)
    for profile in profiles:
        with _timed(spent, f"crop {profile.name}"):
            faces = find_faces(image, detections, QualityFilter.NONE, profile)
        if not faces:
            break
        face = faces[0] if look.largest else central_face(faces, image)
        with _timed(spent, f"embed {profile.name}"):
            [vector], [quality] = embed_and_score(networks.embedder, [face], profile)
        record = Record(
            vectors=record.vectors | {profile.name: vector},
            quality=quality,
            confidence=face.detection.confidence,
            rivals=rivals(faces, face),
            milliseconds=spent,
        )
    return record


class Cache:
    """Records by photo, in one SQLite file a pipeline.

    Parameters
    ----------
    folder : where the files lie.
    tag : of the pipeline: network, profile, and what else changes a record.
    """

    def __init__(self, folder: Path, tag: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(f"{_FORMAT}/{tag}".encode()).hexdigest()[:16]
        self._database = sqlite3.connect(folder / f"{name}.sqlite")
        self._database.execute("CREATE TABLE IF NOT EXISTS records (photo TEXT PRIMARY KEY, r)")

    def get(self, photo: str) -> Record | None:
        """Return the record of the photo with this hash, if there is one."""
        row = self._database.execute("SELECT r FROM records WHERE photo = ?", [photo]).fetchone()
        # Only what this program wrote under .local is read.
        return None if row is None else pickle.loads(row[0])

    def put(self, records: Iterable[tuple[str, Record]]) -> None:
        """Keep records; all of them or, when interrupted, none."""
        rows = [(photo, pickle.dumps(record)) for photo, record in records]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO records VALUES (?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def extract(
    photos: Sequence[Path],
    profiles: Sequence[Profile],
    cache_folder: Path,
    console: Console,
    *,
    look: Look = LIKE_A_WORKER,
    processes: int = 2,
) -> list[Record]:
    """Return the record of each photo, from the cache or made now.

    Parameters
    ----------
    profiles : each gives every photo a vector.
    look : see `recognise`.
    """
    with closing(Cache(cache_folder, _tag(profiles, look))) as cache:
        hashes = [hashlib.sha256(photo.read_bytes()).hexdigest() for photo in photos]
        records = {photo: record for photo in hashes if (record := cache.get(photo))}
        missing = {h: path for h, path in zip(hashes, photos, strict=True) if h not in records}
        for made in _progressing(
            _make(missing, profiles, look, processes, cache_folder), len(missing), console
        ):
            cache.put(made.items())
            records |= made
    return [records[photo] for photo in hashes]


def _tag(profiles: Sequence[Profile], look: Look) -> str:
    each = ",".join(f"{p.name}={p.crop_version}:{p.views}:{_centre(p)}" for p in profiles)
    return f"{chosen().name}/{each}/{look}"


def _centre(profile: Profile) -> str:
    if not profile.centred:
        return ""
    return hashlib.sha256(load_centre(profile.crop_version).tobytes()).hexdigest()[:8]


def _make(
    missing: dict[str, Path],
    profiles: Sequence[Profile],
    look: Look,
    processes: int,
    cache_folder: Path,
) -> Iterator[dict[str, Record]]:
    if not missing:
        return
    items = list(missing.items())
    chunks = [items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK)]
    with ProcessPoolExecutor(
        min(processes, len(chunks)),
        mp_context=get_context("spawn"),
        initializer=_start,
        initargs=(cache_folder,),
    ) as pool:
        waiting = [pool.submit(_work, chunk, profiles, look) for chunk in chunks]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _progressing(
    parts: Iterator[dict[str, Record]], total: int, console: Console
) -> Iterator[dict[str, Record]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=total == 0) as progress:
        task = progress.add_task("photos", total=total)
        for part in parts:
            yield part
            progress.advance(task, len(part))


_networks: Backend | None = None


def _start(cache_folder: Path) -> None:
    """Load the networks once a process, each on one thread."""
    global _networks
    _networks = load_networks(cache_folder)


def _work(
    chunk: Sequence[tuple[str, Path]], profiles: Sequence[Profile], look: Look
) -> dict[str, Record]:
    assert _networks is not None
    made = {}
    for photo, path in chunk:
        content_type = _TYPES.get(path.suffix.lower(), ContentType.JPEG)
        made[photo] = recognise(_networks, profiles, path.read_bytes(), content_type, look)
    return made


def _scaled(image: RgbImage, width: int) -> RgbImage:
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    scaled = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(scaled)


@contextmanager
def _timed(spent: dict[str, float], stage: str) -> Iterator[None]:
    """Add the processor time, which hardly grows when the machine is shared."""
    begin = time.process_time()
    try:
        yield
    finally:
        spent[stage] = spent.get(stage, 0.0) + 1000 * (time.process_time() - begin)
