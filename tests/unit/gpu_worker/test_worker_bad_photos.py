"""One batch of every kind of bad and odd photo, among good ones: each ends as it should."""

import io
import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image, ImageCms

from faces.contracts.errors import CATALOGUE, ErrorCode
from faces.contracts.jobs import ContentType, JobRequest
from faces.contracts.results import JobResult
from gpu_worker.backends.base import RgbImage
from gpu_worker.coordinator import Coordinator
from gpu_worker.pipeline import Breakers, stages
from gpu_worker.protocol import Task
from gpu_worker.queue import Received
from gpu_worker.sizes import Sizes
from tests.fixtures.photos import encoded
from tests.fixtures.worker_fakes import FakeWorld, detection
from tests.unit.gpu_worker.test_worker_photos import bomb_jpeg, bomb_png, bomb_webp

SECONDS = 60.0
JPEG, PNG, WEBP = ContentType.JPEG, ContentType.PNG, ContentType.WEBP
SIZE = (120, 90)


def scene(seed: int = 7) -> RgbImage:
    """A smooth picture of 120 x 90, which survives being stored as JPEG."""
    small = np.random.default_rng(seed).integers(40, 215, (9, 12, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize(SIZE, Image.Resampling.BICUBIC))


def saved(image: Image.Image, name: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(Image.fromarray(scene()), "JPEG", exif=exif)


def sixteen_bit_rgb() -> bytes:
    """A PNG with 16 bits a channel, which Pillow cannot write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in scene().astype(np.uint16) * 257)
    header = struct.pack(">IIBBBBB", *SIZE, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def lying_png() -> bytes:
    """Says in its header that it is wider than its data."""
    data = bytearray(encoded(scene(), "PNG"))
    data[16:20] = struct.pack(">I", 5000)
    return bytes(data)


def lying_jpeg() -> bytes:
    data = bytearray(encoded(scene()))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", 900, 900)
    return bytes(data)


PICTURE = Image.fromarray(scene())
FRAMES = [PICTURE, Image.fromarray(scene(8))]

ANSWERED: dict[str, tuple[bytes, ContentType]] = {
    "cmyk": (saved(PICTURE.convert("CMYK"), "JPEG"), JPEG),
    "grey": (saved(PICTURE.convert("L"), "JPEG"), JPEG),
    "grey with alpha": (saved(PICTURE.convert("LA"), "PNG"), PNG),
    "16-bit grey": (
        saved(Image.fromarray(np.asarray(PICTURE.convert("L")).astype(np.uint16) * 257), "PNG"),
        PNG,
    ),
    "16-bit colours": (sixteen_bit_rgb(), PNG),
    "black and white": (saved(PICTURE.convert("1"), "PNG"), PNG),
    "palette": (saved(PICTURE.quantize(64), "PNG"), PNG),
    "alpha": (saved(PICTURE.convert("RGBA"), "PNG"), PNG),
    "transparent palette": (saved(PICTURE.quantize(64), "PNG", transparency=0), PNG),
    "animated png": (saved(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), PNG),
    "animated webp": (saved(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]), WEBP),
    "multi-picture jpeg": (saved(FRAMES[0], "MPO", save_all=True, append_images=FRAMES[1:]), JPEG),
    "lossless webp": (saved(PICTURE, "WEBP", lossless=True), WEBP),
    "progressive": (saved(PICTURE, "JPEG", progressive=True), JPEG),
    "icc jpeg": (saved(PICTURE, "JPEG", icc_profile=profile()), JPEG),
    "icc png": (saved(PICTURE, "PNG", icc_profile=profile()), PNG),
    "damaged icc": (saved(PICTURE, "JPEG", icc_profile=b"no profile"), JPEG),
    **{f"orientation {value}": (turned(value), JPEG) for value in range(1, 9)},
}
REFUSED: dict[str, tuple[bytes, ContentType, ErrorCode]] = {
    "zero bytes": (b"", JPEG, ErrorCode.UPLOAD_EMPTY),
    "no image": (b"%PDF-1.7 no photo", JPEG, ErrorCode.NOT_AN_IMAGE),
    "truncated jpeg": (encoded(scene())[:-400], JPEG, ErrorCode.CORRUPT_IMAGE),
    "truncated png": (encoded(scene(), "PNG")[:-400], PNG, ErrorCode.CORRUPT_IMAGE),
    "truncated webp": (encoded(scene(), "WEBP")[:-400], WEBP, ErrorCode.CORRUPT_IMAGE),
    "only a header": (encoded(scene())[:30], JPEG, ErrorCode.CORRUPT_IMAGE),
    "lying png": (lying_png(), PNG, ErrorCode.CORRUPT_IMAGE),
    "another type": (encoded(scene(), "PNG"), JPEG, ErrorCode.WRONG_CONTENT_TYPE),
    "gif": (saved(PICTURE, "GIF"), PNG, ErrorCode.UNSUPPORTED_IMAGE),
    "tiff": (saved(PICTURE, "TIFF"), JPEG, ErrorCode.UNSUPPORTED_IMAGE),
    "avif": (saved(PICTURE, "AVIF"), JPEG, ErrorCode.UNSUPPORTED_IMAGE),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", JPEG, ErrorCode.UNSUPPORTED_IMAGE),
    "20,000 x 20,000": (
        saved(Image.new("1", (20_000, 20_000)), "PNG"),
        PNG,
        ErrorCode.IMAGE_TOO_LARGE,
    ),
    "png bomb": (bomb_png(60_000), PNG, ErrorCode.IMAGE_TOO_LARGE),
    "jpeg bomb": (bomb_jpeg(65_000), JPEG, ErrorCode.IMAGE_TOO_LARGE),
    "webp bomb": (bomb_webp(16_000), WEBP, ErrorCode.IMAGE_TOO_LARGE),
}


@dataclass
class Ends:
    """Waits for the end of all tasks."""

    count: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    handed_back: list[Task] = field(default_factory=list)

    def ours(self, task: Task) -> bool:
        return True

    def progress(self) -> None:
        pass

    def ended(self, task: Task) -> None:
        with self.changed:
            self.count += 1
            if task.retry_seconds is not None:
                self.handed_back.append(task)
            self.changed.notify_all()


@dataclass
class Batches:
    """Remembers how many photos each stage had at once."""

    largest: dict[str, int] = field(default_factory=dict)

    def stage(self, name: str, seconds: float, tasks: int) -> None:
        self.largest[name] = max(tasks, self.largest.get(name, 0))


Answers = Callable[[str], JobResult]


@pytest.fixture(scope="module")
def answers() -> Answers:
    """All photos through one pipeline, at the same time; `good ...` before, between, after."""
    world = FakeWorld()
    world.detector.found = [detection(20, 10, 60)]
    photos = {name: (data, kind) for name, (data, kind, _) in REFUSED.items()} | ANSWERED
    photos["one pixel"] = (saved(Image.new("RGB", (1, 1)), "PNG"), PNG)
    photos["lying jpeg"] = (lying_jpeg(), JPEG)
    order = []
    for number, name in enumerate(photos):
        if number % 4 == 0:
            order.append(f"good {number // 4}")
        order.append(name)
    messages = {}
    for name in order:
        data, kind = photos.get(name, (encoded(scene(), "PNG"), PNG))
        messages[name] = world.uploads.submit(data, JobRequest(content_type=kind))

    ends, batches = Ends(), Batches()
    sizes = Sizes(detect_batch=8, embed_batch=16, linger_seconds=0.2)
    made = stages(world.parts, sizes, Breakers.make())
    coordinator = Coordinator(made, ends, batches)
    coordinator.start()
    for name in order:
        coordinator.submit(Task(Received(name, name, "", 1), messages[name]))
    with ends.changed:
        assert ends.changed.wait_for(lambda: ends.count == len(order), SECONDS)
    coordinator.close(SECONDS)
    assert ends.handed_back == []
    assert sorted(world.queue.deleted) == sorted(order), "each is deleted once"
    assert len(world.announcer.announced) == len(order)
    assert batches.largest["detect"] == 8
    assert batches.largest["embed"] > 4
    good = {name: messages[name].job_id for name in order}
    return lambda name: world.results.written[good[name]]


@pytest.mark.parametrize("name", ANSWERED)
def test_an_odd_photo_is_answered_upright(answers: Answers, name: str) -> None:
    result = answers(name)
    assert result.state == "succeeded", result.error
    assert result.photo is not None
    upright = SIZE if name not in {f"orientation {n}" for n in (5, 6, 7, 8)} else SIZE[::-1]
    assert (result.photo.width, result.photo.height) == upright
    [face] = result.faces
    assert face.req_id is not None


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_photo_ends_with_its_code_and_a_sentence(answers: Answers, name: str) -> None:
    result = answers(name)
    assert result.state == "failed"
    assert result.error is not None
    assert result.error.code is REFUSED[name][2]
    assert result.error.message.endswith(".")
    assert result.error.title == CATALOGUE[result.error.code].title


def test_the_good_photos_among_them_are_all_answered_alike(answers: Answers) -> None:
    results = [answers(f"good {number}") for number in range(10)]
    assert all(result.state == "succeeded" for result in results)
    assert len({result.faces[0].quality for result in results}) == 1
    assert len({result.faces[0].req_id for result in results}) == len(results)


def test_a_photo_of_one_pixel_has_no_face(answers: Answers) -> None:
    assert answers("one pixel").state == "succeeded"
    assert answers("one pixel").faces == ()


def test_a_jpeg_that_promises_more_pixels_than_it_has_ends(answers: Answers) -> None:
    """libjpeg fills up what is missing with grey or gives up; both are ends."""
    result = answers("lying jpeg")
    assert result.state == "succeeded" or (
        result.error is not None and result.error.code is ErrorCode.CORRUPT_IMAGE
    )
