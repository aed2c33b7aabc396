"""`python -m benchmarks.worker_child KIND THREADS CACHE FACES`: one measured process.

FACES is how many faces are known.

Reads commands, a JSON object a line, and answers each with one. It does nothing between
them, so that several may wait while others are measured.
"""

import io
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

# Sets up what a worker has in memory beside its networks.
import gpu_worker.assembly
from faces.contracts.ids import new_id
from faces.contracts.jobs import ContentType, QualityFilter
from faces.gallery.vectors import Changes, GalleryFace, Snapshot
from gpu_worker.analysis import embed_faces, find_faces
from gpu_worker.backends.base import EMBEDDING_SIZE
from gpu_worker.backends.choice import Choice, load
from gpu_worker.index import GalleryIndex
from gpu_worker.photos import decode
from gpu_worker.profiles import PLAIN, PROFILES, Profile
from gpu_worker.weights import weights_path

CHUNK = 8
"""Photos whose faces are embedded together, as the worker's pipeline does under load."""

MAX_PIXELS = 100_000_000
PEAK_SECONDS = 1.0

Answers = list[str]
Identify = Callable[[Sequence[bytes], Profile], Answers]

_WHERE = ("default", "default")


@dataclass(frozen=True)
class MadeUp:
    """A gallery of random people of one face: the cost of a search does not depend on values."""

    faces: int

    def load(self, model_tag: str) -> Snapshot:
        """Return them as the gallery of record would."""
        vectors = np.empty((self.faces, EMBEDDING_SIZE), dtype=np.float16)
        draw = np.random.default_rng(1)
        for start in range(0, self.faces, 1000):
            part = draw.standard_normal((min(1000, self.faces - start), EMBEDDING_SIZE))
            vectors[start : start + 1000] = part / np.linalg.norm(part, axis=1, keepdims=True)
        faces = [
            GalleryFace(str(new_id()), str(new_id()), f"Person {number}", *_WHERE)
            for number in range(self.faces)
        ]
        return Snapshot(0, faces, vectors)

    def changes_since(self, position: int, model_tag: str) -> Changes | None:
        """Return that there are none."""
        return Changes(position, [], np.empty((0, EMBEDDING_SIZE), np.float16), frozenset(), {})


def worker(weights: Path, cache: Path, threads: int, known: MadeUp) -> Identify:
    """Return what the worker does with photos, without its queues."""
    choice = Choice("cpu", "of the benchmark")
    backend = load(choice, weights, cache, threads=threads, detection="exact")
    index = GalleryIndex(known, "")
    index.follow()

    def identify(photos: Sequence[bytes], profile: Profile) -> Answers:
        images = [decode(photo, ContentType.JPEG, MAX_PIXELS).pixels for photo in photos]
        faces = []
        for image, found in zip(images, backend.detector.detect(images), strict=True):
            faces += find_faces(image, found, QualityFilter.NONE, profile)
        vectors = embed_faces(backend.embedder, faces, profile)
        return [hits[0].person_id for hits in index.search(*_WHERE, vectors, 4)]

    return identify


def baseline(weights: Path, cache: Path, threads: int, known: MadeUp) -> Identify:
    """Return the usual loop: Pillow, facenet-pytorch in eager mode, one photo at a time."""
    import torch

    from gpu_worker.analysis import MIN_CONFIDENCE
    from gpu_worker.backends.reference import FaceNetEmbedder, MtcnnDetector
    from gpu_worker.crop import crop_face

    torch.set_num_threads(threads)
    detector, embedder = MtcnnDetector(), FaceNetEmbedder(weights)
    snapshot = known.load("")
    people, rows = snapshot.faces, snapshot.embeddings.astype(np.float32)

    def identify(photos: Sequence[bytes], _: Profile) -> Answers:
        answers: Answers = []
        for photo in photos:
            image = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB"))
            for face in detector.detect([image])[0]:
                if face.confidence >= MIN_CONFIDENCE:
                    crop = crop_face(image, face.box)
                    vectors = embedder.embed([crop])
                    answers.append(people[int((vectors @ rows.T).argmax())].person_id)
        return answers

    return identify


class Child:
    """Answers commands."""

    def __init__(self, identify: Identify) -> None:
        self._identify = identify
        self._process = psutil.Process()

    def timed(self, folder: str, seconds: float, profile: str = PLAIN.name) -> dict[str, Any]:
        """Work on a folder's photos, again and again, for at least so long."""
        chosen = PROFILES[profile]
        photos = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
        self._identify(photos[:CHUNK], chosen)
        done = faces = 0
        started, used = time.perf_counter(), time.process_time()
        while (spent := time.perf_counter() - started) < seconds or not done:
            chunk = [photos[(done + n) % len(photos)] for n in range(min(CHUNK, len(photos)))]
            faces += len(self._identify(chunk, chosen))
            done += len(chunk)
        spent = time.perf_counter() - started
        return {
            "photos": done,
            "faces": faces,
            "seconds": spent,
            "cpu_seconds": time.process_time() - used,
        }

    def soaked(self, folders: Sequence[str], photos: int, seed: int) -> dict[str, Any]:
        """Work on photos of mixed sizes; return the memory now and at its most so far, in MB."""
        files = [sorted(Path(folder).iterdir()) for folder in folders]
        draw = np.random.default_rng(seed)
        for _ in range(photos):
            group = files[draw.integers(len(files))]
            photo = group[draw.integers(len(group))].read_bytes()
            self._identify([photo], PROFILES["default"])
        return {
            "megabytes": self._process.memory_info().rss / 1e6,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        }

    def peak(self, precision: str) -> dict[str, Any]:
        """Return the GFLOP/s of a convolution that suits the processor."""
        import openvino as ov
        from openvino import opset13 as ops

        channels, side = 256, 40
        inputs = ops.parameter([1, channels, side, side], np.float32)
        kernel = ops.constant(np.ones((channels, channels, 3, 3), dtype=np.float32))
        layer = ops.convolution(inputs, kernel, [1, 1], [1, 1], [1, 1], [1, 1])
        for _ in range(3):
            layer = ops.convolution(layer, kernel, [1, 1], [1, 1], [1, 1], [1, 1])
        options = {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": precision,
        }
        compiled = ov.Core().compile_model(ov.Model([layer], [inputs]), "CPU", options)
        request = compiled.create_infer_request()
        request.infer()
        runs, started = 0, time.perf_counter()
        while time.perf_counter() - started < PEAK_SECONDS:
            request.infer()
            runs += 1
        spent = time.perf_counter() - started
        operations = 4 * 2 * 9 * channels * channels * side * side
        return {"gflops": runs * operations / spent / 1e9}


def main(kind: str, threads: str, cache: str, faces: str) -> None:
    """Load, say that it is ready, answer until the input ends."""
    import os

    make = {"worker": worker, "baseline": baseline}[kind]
    child = Child(make(weights_path(os.environ), Path(cache), int(threads), MadeUp(int(faces))))
    sys.stdout.write(json.dumps({"ready": gpu_worker.assembly.__name__}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(child, command.pop("do"))(**command)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
