"""Single views of each photo, to put together to profiles that do not exist yet."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from benchmarks.accuracy.dataset import Dataset
from benchmarks.accuracy.extract import LIKE_A_WORKER, Look, Record, extract
from benchmarks.accuracy.scores import Faces, stack
from gpu_worker.backends.base import FloatArray
from gpu_worker.profiles import Profile, View


def view_name(view: View) -> str:
    """Return a name that differs between views, such as `upright-32-lanczos-mirrored`."""
    parts = [str(view.cut), str(view.margin)]
    if view.resampling is not Image.Resampling.BILINEAR:
        parts.append(view.resampling.name.lower())
    return "-".join([*parts, "mirrored"] if view.mirrored else parts)


def alone(view: View) -> Profile:
    """Return the profile of one view, nothing taken away."""
    return Profile(view_name(view), view_name(view), (view,))


def extract_views(
    data: Dataset,
    views: Iterable[View],
    cache: Path,
    console: Console,
    look: Look = LIKE_A_WORKER,
) -> list[Record]:
    """Return the records of all photos with one vector a view; quality is the first view's."""
    single = [alone(view) for view in dict.fromkeys(views)]
    return extract(data.photos, single, cache, console, look=look)


def stacked(records: Sequence[Record], views: Sequence[View]) -> FloatArray:
    """Return (n, views, 512); zeros for photos without a face."""
    none = np.zeros(512, dtype=np.float32)
    return np.stack(
        [
            np.stack([record.vectors.get(view_name(view), none) for view in views])
            for record in records
        ]
    )


def fused(records: Sequence[Record], data: Dataset, profile: Profile) -> Faces:
    """Return the faces as the profile fuses them, before anything is taken away."""
    found = [record.error is None for record in records]
    vectors = replace(profile, centred=False).fuse(stacked(records, profile.views))
    rows = [vector if there else None for vector, there in zip(vectors, found, strict=True)]
    return stack(rows, data.person)
