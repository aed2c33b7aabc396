"""What is done at once suits the backend, unless the settings say otherwise."""

from faces.contracts.worker_settings import WorkerSettings
from gpu_worker.sizes import ON_CPU, on_gpu, sizes_for

BASE = {"DATABASE_URL": "postgresql://u:p@127.0.0.1/faces"}


def test_what_is_not_set_suits_the_backend() -> None:
    settings = WorkerSettings.load(BASE)
    assert sizes_for(settings, gpu=False, cores=4) == ON_CPU
    assert sizes_for(settings, gpu=True, cores=4) == on_gpu(4)


def test_what_is_set_counts() -> None:
    settings = WorkerSettings.load(
        {
            **BASE,
            "WORKER_IN_HAND": "5",
            "WORKER_RECEIVERS": "3",
            "WORKER_TRANSFERS": "6",
            "WORKER_DECODERS": "7",
            "WORKER_DETECT_BATCH": "8",
            "WORKER_EMBED_BATCH": "9",
            "WORKER_PIXELS_IN_HAND": "10",
            "WORKER_BATCH_WAIT_SECONDS": "0.5",
            "WORKER_EXACT_FACES": "0",
        }
    )
    for gpu in (False, True):
        sizes = sizes_for(settings, gpu=gpu, cores=2)
        assert (sizes.in_hand, sizes.receivers, sizes.transfers) == (5, 3, 6)
        assert (sizes.decoders, sizes.detect_batch, sizes.embed_batch) == (7, 8, 9)
        assert (sizes.pixels, sizes.linger_seconds, sizes.exact_faces) == (10, 0.5, 0)


def test_batches_of_a_gpu_can_be_filled() -> None:
    for cores in (1, 4, 64):
        sizes = on_gpu(cores)
        assert sizes.in_hand >= 2 * sizes.detect_batch
        assert sizes.decoders >= 2
        assert sizes.pixels >= sizes.detect_batch * 2_000_000
