"""Runs the worker's pipeline over photos in two processes and keeps what it found.

What is kept of a photo goes by its content and the pipeline's tag, so an interrupted run
goes on where it was, and a changed pipeline measures anew.
"""

import hashlib
import os
import pickle
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
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
from benchmarks.accuracy.worsen import worsen
from faces.contracts.errors import FacesError
from faces.contracts.jobs import ContentType, QualityFilter
from faces.contracts.results import FaceQuality
from gpu_worker.analysis import central_face, embed_and_score, find_faces, rivals
from gpu_worker.backends.base import Detection, Embedder, FloatArray, RgbImage
from gpu_worker.backends.choice import Backend
from gpu_worker.calibration import load_calibration
from gpu_worker.photos import decode
from gpu_worker.profiles import Profile
from gpu_worker.weights import ensure_weights, weights_path

_CHUNK = 24
_FORMAT = 5
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
    worsened : the photo is made worse in a way that this number chooses; 0 leaves it.
    """

    width: int = 0
    largest: bool = False
    worsened: int = 0

    def at(self, image: RgbImage) -> RgbImage:
        """Return the (height, width, 3) uint8 RGB photo as the measurement sees it."""
        image = _scaled(image, self.width) if self.width else image
        return worsen(image, self.worsened) if self.worsened else image


LIKE_A_WORKER = Look()


def recognise(
    networks: Backend,
    profile: Profile,
    data: bytes,
    content_type: ContentType,
    look: Look,
) -> Record:
    """Run one photo through the stages of a worker; see `recognise_each`."""
    return recognise_each(networks, [profile], data, content_type, look)[profile.name]


def recognise_each(
    networks: Backend,
    profiles: Sequence[Profile],
    data: bytes,
    content_type: ContentType,
    look: Look,
) -> dict[str, Record]:
    """Run one photo through the stages of a worker, those after the detector once a profile.

    Parameters
    ----------
    look : for measurements only; a worker's is `LIKE_A_WORKER`.

    Returns
    -------
    The record of each profile by its name.
    """
    spent: dict[str, float] = {}
    try:
        with _timed(spent, "decode"):
            image = decode(data, content_type, _MAX_PIXELS).pixels
    except FacesError as error:
        record = Record(error=str(error.code), milliseconds=spent)
        return {profile.name: record for profile in profiles}
    image = look.at(image)
    with _timed(spent, "detect"):
        [detections] = networks.detector.detect([image])
    return {
        profile.name: _recognise(networks.embedder, profile, image, detections, look, spent)
        for profile in profiles
    }


def _recognise(
    embedder: Embedder,
    profile: Profile,
    image: RgbImage,
    detections: Sequence[Detection],
    look: Look,
    before: dict[str, float],
) -> Record:
    spent = dict(before)
    with _timed(spent, f"crop {profile.name}"):
        faces = find_faces(image, detections, QualityFilter.NONE, profile)
    if not faces:
        return Record(error="no_face", milliseconds=spent)
    face = faces[0] if look.largest else central_face(faces, image)
    with _timed(spent, f"embed {profile.name}"):
        [vector], [quality] = embed_and_score(embedder, [face], profile)
    return Record(
        vectors={profile.name: vector},
        quality=quality,
        confidence=face.detection.confidence,
        rivals=rivals(faces, face),
        milliseconds=spent,
    )


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
    hashes = [hashlib.sha256(photo.read_bytes()).hexdigest() for photo in photos]
    paths = dict(zip(hashes, photos, strict=True))
    with ExitStack() as opened:
        caches = {
            profile.name: opened.enter_context(closing(Cache(cache_folder, tag(profile, look))))
            for profile in profiles
        }
        known: dict[str, dict[str, Record]] = {photo: {} for photo in paths}
        for name, cache in caches.items():
            for photo, parts in known.items():
                if record := cache.get(photo):
                    parts[name] = record
        missing = [
            (photo, paths[photo], tuple(each for each in profiles if each.name not in parts))
            for photo, parts in known.items()
            if len(parts) < len(profiles)
        ]
        made = _make(missing, look, processes, cache_folder)
        for chunk in _progressing(made, len(missing), console):
            for name, cache in caches.items():
                cache.put((photo, parts[name]) for photo, parts in chunk.items() if name in parts)
            for photo, parts in chunk.items():
                known[photo] |= parts
    merged = {
        photo: merge([parts[profile.name] for profile in profiles])
        for photo, parts in known.items()
    }
    return [merged[photo] for photo in hashes]


def merge(records: Sequence[Record]) -> Record:
    """Return one record of a photo from those of several profiles.

    Its quality is that of the first profile's face; the others only differ in vectors.
    """
    first = records[0]
    return replace(
        first,
        vectors={name: vector for each in records for name, vector in each.vectors.items()},
        milliseconds={k: v for each in reversed(records) for k, v in each.milliseconds.items()},
    )


def tag(profile: Profile, look: Look) -> str:
    """Return what records depend on; whatever changes it makes photos be measured anew."""
    each = f"{profile.name}={profile.crop_version}:{profile.views}:{_learnt(profile)}"
    return f"{chosen().name}/{each}/{look}"


def _learnt(profile: Profile) -> str:
    """Return what the profile learnt of its calibration, in short: vectors and scores use it."""
    if not profile.centred and len(profile.views) == 1:
        return ""
    data = load_calibration(profile.crop_version).data
    return hashlib.sha256(repr((data.centre, data.quality)).encode()).hexdigest()[:8]


_Missing = tuple[str, Path, tuple[Profile, ...]]
_Made = dict[str, dict[str, Record]]


def _make(
    missing: Sequence[_Missing], look: Look, processes: int, cache_folder: Path
) -> Iterator[_Made]:
    """Yield the records of some photos at a time, by photo and profile."""
    if not missing:
        return
    ensure_weights(weights_path(os.environ))  # one clear error instead of one a process
    chunks = [missing[start : start + _CHUNK] for start in range(0, len(missing), _CHUNK)]
    with ProcessPoolExecutor(
        min(processes, len(chunks)),
        mp_context=get_context("spawn"),
        initializer=_start,
        initargs=(cache_folder,),
    ) as pool:
        waiting = [pool.submit(_work, chunk, look) for chunk in chunks]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _progressing(parts: Iterator[_Made], total: int, console: Console) -> Iterator[_Made]:
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


def _work(chunk: Sequence[_Missing], look: Look) -> _Made:
    assert _networks is not None
    made = {}
    for photo, path, profiles in chunk:
        content_type = _TYPES.get(path.suffix.lower(), ContentType.JPEG)
        made[photo] = recognise_each(_networks, profiles, path.read_bytes(), content_type, look)
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
