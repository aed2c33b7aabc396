"""The whole way from JPEG bytes to a match on a device: worker processes, and the usual loop."""

import io
import os
import queue
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.gpu_effort import TARGET_PHOTOS, TARGET_TIMES, Effort, people, per_second
from benchmarks.gpu_line import Line
from benchmarks.result import Figure
from gpu_worker.analysis import MIN_CONFIDENCE
from gpu_worker.backends.base import FloatArray, min_face_px
from gpu_worker.backends.device.load import load_parts
from gpu_worker.backends.device.nearest import DeviceRows
from gpu_worker.backends.reference import FaceNetEmbedder, MtcnnDetector
from gpu_worker.crop import crop_face
from gpu_worker.index import CollectionIndex
from gpu_worker.sizes import on_gpu


def usual_loop(
    device: torch.device, weights: Path, photos: Sequence[bytes], effort: Effort
) -> float:
    """Return images per second of the usual loop."""
    detector, embedder = MtcnnDetector(device), FaceNetEmbedder(weights, device)
    known = torch.from_numpy(people(effort.gallery)).to(device)

    def one(photo: bytes) -> None:
        image = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB"))
        for face in detector.detect([image])[0]:
            if face.confidence >= MIN_CONFIDENCE:
                vector = embedder.embed([crop_face(image, face.box)])
                int((torch.from_numpy(vector).to(device) @ known.T).argmax())

    return per_second(lambda n: one(photos[n % len(photos)]), 1, effort.seconds)


def whole(
    device: torch.device, weights: Path, photos: Sequence[bytes], effort: Effort, processes: int
) -> tuple[float, list[Figure]]:
    """Return images per second from bytes to match, and where the threads' time goes."""
    context = get_context("spawn")
    cores = max(1, (os.cpu_count() or 1) // processes)
    share = -(-effort.photos // processes)
    ready, begin = context.Barrier(processes), context.Barrier(processes)
    answers: Any = context.Queue()
    started = [
        context.Process(
            target=_line,
            args=(str(device), weights, list(photos), effort.gallery, share, cores),
            kwargs={"ready": ready, "begin": begin, "answers": answers},
        )
        for _ in range(processes)
    ]
    for process in started:
        process.start()
    found = [_answer(answers, started) for _ in started]
    for process in started:
        process.join()
    spent = max(end for _, end, _ in found) - min(begun for begun, _, _ in found)
    stages = [
        Figure(
            name=f"stage {name}, {processes} processes",
            value=1000 * sum(each[2][name] for each in found) / (share * processes),
            unit="ms of thread/img",
        )
        for name in found[0][2]
    ]
    return share * processes / spent, stages


def _answer(answers: Any, processes: Sequence[Any]) -> tuple[float, float, dict[str, float]]:
    while True:
        try:
            answer: tuple[float, float, dict[str, float]] = answers.get(timeout=1)
        except queue.Empty:
            if any(process.exitcode not in (None, 0) for process in processes):
                for process in processes:
                    process.terminate()
                raise RuntimeError("a process of the benchmark ended, see above") from None
        else:
            return answer


def _index(device: torch.device, known: FloatArray) -> CollectionIndex:
    index = CollectionIndex(DeviceRows(device))
    for number, vector in enumerate(known):
        index.put(f"f{number}", f"p{number}", vector)
    return index


def _line(
    name: str,
    weights: Path,
    photos: Sequence[bytes],
    gallery: int,
    count: int,
    cores: int,
    *,
    ready: Any,
    begin: Any,
    answers: Any,
) -> None:
    """Be one worker process."""
    torch.set_num_threads(cores)
    device = torch.device(name)
    detector, embedder, _, _ = load_parts(name, weights, min_face_px)
    line = Line(detector, embedder, _index(device, people(gallery)), on_gpu(cores))
    line.run(photos, min(count, 256))  # captures graphs, chooses algorithms
    ready.wait()
    begin.wait()
    begun = time.time()
    tasks = line.run(photos, count)
    end = time.time()
    failed = [task for task in tasks if task.error is not None or not task.picked]
    if failed or len(line.answers) < count:
        raise RuntimeError(f"{len(failed)} of {count} photos were not recognised")
    answers.put((begun, end, dict(line.clock.seconds)))
    line.close()


def whole_figures(
    rate: float, baseline: float, processes: int, targets: bool, gallery: int
) -> list[Figure]:
    name = f"JPEG to match against {gallery:,}, {processes} processes"
    return [
        Figure(
            name=name,
            value=rate,
            unit="img/s",
            better="higher",
            baseline=baseline,
            target=TARGET_PHOTOS if targets else None,
        ),
        Figure(
            name=f"{name}, times the baseline",
            value=rate / baseline,
            unit="x",
            better="higher",
            target=TARGET_TIMES if targets else None,
        ),
    ]
