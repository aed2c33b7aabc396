"""The parts of the way from JPEG bytes to a match, each alone, on a device."""

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.gpu_decode import decoders
from benchmarks.gpu_effort import TARGET_FACES, Effort, people, per_second, rate_of, wait
from benchmarks.result import Figure
from gpu_worker.backends.base import FloatArray, min_face_px
from gpu_worker.backends.device.embedder import DeviceEmbedder
from gpu_worker.backends.device.load import best_dtype, load_parts
from gpu_worker.backends.device.nearest import DeviceRows
from gpu_worker.backends.reference import FaceNetEmbedder, MtcnnDetector
from gpu_worker.crop import CROP_PX
from gpu_worker.halves import HalfRows
from gpu_worker.nearest import HostRows, NearestRows


def embedding(
    device: torch.device, weights: Path, effort: Effort, targets: bool, compiled: bool
) -> list[Figure]:
    figures = []
    crops = list(
        np.random.default_rng(2).integers(
            0, 256, (max(effort.faces), CROP_PX, CROP_PX, 3), dtype=np.uint8
        )
    )
    pixels = torch.from_numpy(np.stack(crops)).to(device)
    usual = FaceNetEmbedder(weights, device)
    dtype = best_dtype(device)
    for with_compiler in (False, True) if compiled else (False,):
        embedder = DeviceEmbedder(
            weights, device, dtype, compiled=with_compiler, batches=effort.faces
        )
        how = "compiled" if with_compiler else "graphs"
        for batch in effort.faces:
            part = crops[:batch]
            figures.append(
                Figure(
                    name=f"embedding, {how}, batch {batch}",
                    value=rate_of(embedder.embed, part, effort.seconds),
                    unit="faces/s",
                    better="higher",
                    baseline=rate_of(usual.embed, part, effort.seconds),
                    target=TARGET_FACES if targets and batch == effort.faces[-1] else None,
                )
            )
        figures.append(
            Figure(
                name=f"embedding, {how}, crops on the device",
                value=per_second(partial(_resident, embedder, pixels), len(crops), effort.seconds),
                unit="faces/s",
                better="higher",
                target=TARGET_FACES if targets else None,
            )
        )
    return figures


def _resident(embedder: DeviceEmbedder, pixels: torch.Tensor, _: int) -> None:
    embedder.embed_resident(pixels)
    wait(pixels.device)


def detection(
    device: torch.device, weights: Path, photos: Sequence[bytes], effort: Effort
) -> list[Figure]:
    detector, _, _, _ = load_parts(str(device), weights, min_face_px)
    usual = MtcnnDetector(device)
    images = [np.asarray(Image.open(io.BytesIO(photo)).convert("RGB")) for photo in photos]
    baseline = per_second(lambda _: usual.detect(images[:1]), 1, effort.seconds)
    figures = []
    for batch in effort.batches:
        part = [images[n % len(images)] for n in range(batch)]
        rate = rate_of(detector.detect, part, effort.seconds)
        figures.append(
            Figure(
                name=f"detection, batch {batch}",
                value=rate,
                unit="img/s",
                better="higher",
                baseline=baseline,
            )
        )
    return figures


def decoding(device: torch.device, photos: Sequence[bytes], effort: Effort) -> list[Figure]:
    """Decode on the CPU, one thread and all, and by what decoders the GPU has."""
    many = list(photos) * 4

    def pillow(data: bytes) -> object:
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    single = per_second(lambda n: pillow(photos[n % len(photos)]), 1, effort.seconds)
    figures = [Figure(name="decoding, Pillow, 1 thread", value=single, unit="img/s")]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        rate = per_second(lambda _: list(pool.map(pillow, many)), len(many), effort.seconds)
    name = f"decoding, Pillow, {os.cpu_count()} threads"
    figures.append(Figure(name=name, value=rate, unit="img/s", baseline=single))
    for name, decode in decoders(device).items():

        def work(_: int, decode: Callable[[Sequence[bytes]], object] = decode) -> None:
            decode(many)
            wait(device)

        rate = per_second(work, len(many), effort.seconds)
        figures.append(Figure(name=f"decoding, {name}", value=rate, unit="img/s", baseline=single))
    return figures


def search(device: torch.device, effort: Effort) -> list[Figure]:
    figures = []
    for count in effort.galleries:
        known, vectors = HalfRows(), people(count)
        for vector in vectors:
            known.append(vector)
        on_device, on_host = DeviceRows(device), HostRows()
        for batch in (1, 32, 256):
            probes = vectors[:batch]

            work = [partial(_find, rows, known, probes) for rows in (on_device, on_host)]
            rates = [per_second(each, len(probes), effort.seconds / 3) for each in work]
            figures.append(
                Figure(
                    name=f"exact search, {count:,} faces, batch {batch}",
                    value=1000 / rates[0],
                    unit="ms/face",
                    baseline=1000 / rates[1],
                )
            )
    return figures


def _find(rows: NearestRows, known: HalfRows, probes: FloatArray, _: int) -> None:
    rows.find(known, probes, 4)
