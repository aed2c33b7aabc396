"""How much of everything a worker does at once, by what runs its networks."""

from collections.abc import Callable
from dataclasses import dataclass

from faces.contracts.worker_settings import WorkerSettings


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Attributes
    ----------
    in_hand : photos in the worker, waiting ones included.
    receivers : receives at the same time.
    transfers : photos that are fetched, and results that are stored, at the same time.
    decoders : photos that are decoded at the same time.
    croppers : photos whose faces are cut out at the same time.
    detect_batch : photos that go through the detector at once.
    embed_batch : faces that go through the embedding network at once.
    linger_seconds : how long a batch may wait to be filled, while more is on its way.
    pixels : decoded at the same time.
    exact_faces : kept in memory and compared with.
    """

    in_hand: int = 16
    receivers: int = 2
    transfers: int = 4
    decoders: int = 2
    croppers: int = 1
    detect_batch: int = 1
    embed_batch: int = 32
    linger_seconds: float = 0.005
    pixels: int = 8_500_000
    exact_faces: int = 20_000


ON_CPU = Sizes()
"""One of several processes on a machine: small, and the networks are the bottleneck.

Keeps the process under 450 MB: 300 without a photo, 35 for the faces, and 7 bytes for each pixel
while it is decoded, or up to 11 while faces are looked for. Two photos of 4 megapixels
take less together than one of 12, which is decoded when no other is.
"""


def on_gpu(cores: int) -> Sizes:
    """Return the sizes of the only process on a GPU: its batches must never wait for photos.

    Parameters
    ----------
    cores : CPUs of the machine; decoding and cutting out take 2 ms of one for each photo.
    """
    return Sizes(
        in_hand=256,
        receivers=8,
        transfers=32,
        decoders=max(2, cores),
        croppers=max(2, cores // 2),
        detect_batch=32,
        embed_batch=256,
        pixels=256_000_000,
        exact_faces=1_000_000,
    )


def sizes_for(settings: WorkerSettings, *, gpu: bool, cores: int) -> Sizes:
    """Return the sizes that the settings ask for; what they leave open suits the backend."""
    suiting = on_gpu(cores) if gpu else ON_CPU

    def chosen(setting: int, pick: Callable[[Sizes], int]) -> int:
        return setting or pick(suiting)

    return Sizes(
        in_hand=chosen(settings.in_hand, lambda sizes: sizes.in_hand),
        receivers=chosen(settings.receivers, lambda sizes: sizes.receivers),
        transfers=chosen(settings.transfers, lambda sizes: sizes.transfers),
        decoders=chosen(settings.decoders, lambda sizes: sizes.decoders),
        croppers=suiting.croppers,
        detect_batch=chosen(settings.detect_batch, lambda sizes: sizes.detect_batch),
        embed_batch=chosen(settings.embed_batch, lambda sizes: sizes.embed_batch),
        linger_seconds=settings.batch_wait_seconds,
        pixels=chosen(settings.pixels_in_hand, lambda sizes: sizes.pixels),
        exact_faces=suiting.exact_faces if settings.exact_faces < 0 else settings.exact_faces,
    )
