"""Whatever is uploaded becomes upright RGB pixels or an error of the catalogue."""

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from faces.contracts.errors import ErrorCode, PhotoError
from faces.contracts.jobs import ContentType
from gpu_worker.photos import Photo, decode
from tests.fixtures.photos import encoded, public_photo

LIMIT = 1_000_000
ORIENTATION = 0x0112


def png(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def decode_png(image: Image.Image, **options: object) -> Photo:
    return decode(png(image, **options), ContentType.PNG, LIMIT)


def refused(data: bytes, announced: ContentType, limit: int = LIMIT) -> ErrorCode:
    with pytest.raises(PhotoError) as caught:
        decode(data, announced, limit)
    return caught.value.code


def corners() -> Image.Image:
    """An upright picture of 40 x 24 whose four quarters differ."""
    pixels = np.zeros((24, 40, 3), dtype=np.uint8)
    pixels[:12, :20] = (255, 0, 0)
    pixels[:12, 20:] = (0, 255, 0)
    pixels[12:, :20] = (0, 0, 255)
    pixels[12:, 20:] = (255, 255, 0)
    return Image.fromarray(pixels)


# How a camera that was turned stores an upright scene, by EXIF orientation.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("content_type", [ContentType.JPEG, ContentType.PNG, ContentType.WEBP])
def test_every_orientation_comes_out_upright(orientation: int, content_type: ContentType) -> None:
    turn = STORED[orientation]
    image = corners() if turn is None else corners().transpose(turn)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = io.BytesIO()
    image.save(file, content_type.value.split("/")[1], exif=exif, quality=95)
    photo = decode(file.getvalue(), content_type, LIMIT)
    assert (photo.info.width, photo.info.height) == (40, 24)
    expected = np.asarray(corners()).astype(int)
    for y, x in ((5, 9), (5, 30), (18, 9), (18, 30)):
        assert np.abs(photo.pixels[y, x].astype(int) - expected[y, x]).max() < 40


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_is_none_is_ignored(value: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    assert decode_png(corners(), exif=exif).pixels.shape == (24, 40, 3)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_does_not_spoil_the_photo() -> None:
    data = encoded(public_photo("astronaut"), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode(data, ContentType.JPEG, LIMIT).pixels.shape == (512, 512, 3)


def test_cmyk() -> None:
    file = io.BytesIO()
    corners().convert("CMYK").save(file, "JPEG", quality=95)
    pixels = decode(file.getvalue(), ContentType.JPEG, LIMIT).pixels
    assert np.abs(pixels[5, 9].astype(int) - (255, 0, 0)).max() < 40


def test_grey() -> None:
    pixels = decode_png(Image.new("L", (3, 2), 77)).pixels
    assert pixels.shape == (2, 3, 3)
    assert (pixels == 77).all()


def test_sixteen_bit_grey_keeps_its_range() -> None:
    ramp = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(16, 16)
    pixels = decode_png(Image.fromarray(ramp)).pixels
    assert np.array_equal(pixels[..., 0].ravel(), np.arange(256))


def test_black_and_white() -> None:
    pixels = decode_png(Image.new("1", (9, 9), 1)).pixels
    assert (pixels == 255).all()


def test_palette() -> None:
    pixels = decode_png(corners().quantize(4)).pixels
    assert tuple(pixels[18, 30]) == (255, 255, 0)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_becomes_white(mode: str) -> None:
    image = Image.new(mode, (4, 4), 0)
    assert (decode_png(image).pixels == 255).all()


def test_a_transparent_palette_colour_becomes_white() -> None:
    image = corners().quantize(4)
    index = image.getpixel((0, 0))
    pixels = decode_png(image, transparency=index).pixels
    assert tuple(pixels[0, 0]) == (255, 255, 255)
    assert tuple(pixels[18, 30]) == (255, 255, 0)


def test_one_pixel() -> None:
    photo = decode_png(Image.new("RGB", (1, 1), (1, 2, 3)))
    assert photo.pixels.tolist() == [[[1, 2, 3]]]
    assert (photo.info.width, photo.info.height, photo.info.format) == (1, 1, "PNG")


def test_of_an_animation_the_first_picture() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    pixels = decode(file.getvalue(), ContentType.WEBP, LIMIT).pixels
    assert tuple(pixels[4, 4]) == (255, 0, 0)


def test_no_bytes() -> None:
    assert refused(b"", ContentType.JPEG) is ErrorCode.UPLOAD_EMPTY


@pytest.mark.parametrize("data", [b"\0" * 64, b"%PDF-1.7 ...", b"<svg/>", b"hello", b"\xff\xd8"])
def test_no_image(data: bytes) -> None:
    assert refused(data, ContentType.JPEG) is ErrorCode.NOT_AN_IMAGE


@pytest.mark.parametrize("name", ["GIF", "BMP", "TIFF", "AVIF", "ICO"])
def test_a_format_that_is_not_taken(name: str) -> None:
    data = encoded(np.zeros((16, 16, 3), dtype=np.uint8), name)
    assert refused(data, ContentType.PNG) is ErrorCode.UNSUPPORTED_IMAGE


def test_another_type_than_announced() -> None:
    assert refused(png(corners()), ContentType.JPEG) is ErrorCode.WRONG_CONTENT_TYPE


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.95])
def test_a_truncated_file(name: str, kept: float) -> None:
    data = encoded(public_photo("astronaut"), name)
    found = refused(data[: int(len(data) * kept)], ContentType(f"image/{name.lower()}"))
    assert found is ErrorCode.CORRUPT_IMAGE


@given(st.integers(min_value=20, max_value=1500), st.binary(min_size=1, max_size=40))
def test_a_damaged_file_is_never_our_failure(place: int, noise: bytes) -> None:
    data = bytearray(png(corners().resize((60, 60))) * 3)
    data[place : place + len(noise)] = noise
    # Anything but a PhotoError fails the test.
    with suppress(PhotoError):
        decode(bytes(data), ContentType.PNG, LIMIT)


def bomb_png(side: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + checksum

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


def bomb_webp(side: int) -> bytes:
    size = (side - 1).to_bytes(3, "little") * 2
    body = b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + size
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def bomb_jpeg(side: int) -> bytes:
    data = bytearray(encoded(np.zeros((8, 8, 3), dtype=np.uint8)))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", side, side)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "announced"),
    [
        (bomb_png(60_000), ContentType.PNG),
        (bomb_png(2**31 - 1), ContentType.PNG),
        (bomb_webp(16_000), ContentType.WEBP),
        (bomb_jpeg(65_000), ContentType.JPEG),
    ],
)
def test_a_bomb_is_refused_by_its_header(data: bytes, announced: ContentType) -> None:
    assert refused(data, announced, 100_000_000) is ErrorCode.IMAGE_TOO_LARGE


def test_the_limit_itself_is_allowed() -> None:
    data = png(Image.new("RGB", (100, 100)))
    assert decode(data, ContentType.PNG, 10_000).info.width == 100
    assert refused(data, ContentType.PNG, 9_999) is ErrorCode.IMAGE_TOO_LARGE


def test_pixels_of_a_turned_photo_are_contiguous() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    pixels = decode_png(corners(), exif=exif).pixels
    assert pixels.flags.c_contiguous
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "CMYK", "I;16", "1"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_bands_change_nothing(mode: str, orientation: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Converting and turning a photo band by band is converting and turning it at once."""
    draw = np.random.default_rng(3)
    if mode == "I;16":
        image = Image.fromarray(draw.integers(0, 65536, (50, 33), dtype=np.uint16))
    else:
        four = draw.integers(0, 256, (50, 33, 4), dtype=np.uint8)
        image = Image.fromarray(four, "RGBA").convert("RGB" if mode in ("CMYK", "P") else "RGBA")
        image = image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file, kind = io.BytesIO(), "JPEG" if mode == "CMYK" else "PNG"
    extra = {"transparency": 3} if mode == "P" else {}
    image.save(file, kind, exif=exif, **extra)
    announced = ContentType.JPEG if mode == "CMYK" else ContentType.PNG
    at_once = decode(file.getvalue(), announced, 10_000).pixels
    monkeypatch.setattr("gpu_worker.photos._BAND_PX", 130)
    assert np.array_equal(decode(file.getvalue(), announced, 10_000).pixels, at_once)
    assert at_once.shape == ((50, 33, 3) if orientation == 1 else (33, 50, 3))
