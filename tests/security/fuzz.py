"""Feeds hostile photos to what looks at photos first, in a process of its own.

    python -m tests.security.fuzz --variants 20000 --seed 1

A variant that crashes a decoder ends this process, and its number was printed before; one
that raises anything but an error for people, takes too long or too much memory is a finding.
The exit code is 0 where there was none.
"""

import argparse
import io
import resource
import struct
import sys
import time
import warnings
import zlib
from collections import Counter

import numpy as np
from PIL import Image

from chalice_app.sniff import HEAD_BYTES, check_photo
from faces.contracts.errors import FacesError
from faces.contracts.jobs import ContentType
from gpu_worker.photos import decode
from tests.security.mutation import Mutator

MAX_PIXELS = 1_000_000
MEMORY_BYTES = 2 << 30
SECONDS = 3.0
JPEG, PNG, WEBP = ContentType.JPEG, ContentType.PNG, ContentType.WEBP


def seeds() -> list[tuple[bytes, ContentType]]:
    """Return small photos in all the forms that formats have."""
    pixels = np.random.default_rng(0).integers(0, 255, (48, 40, 3), dtype=np.uint8)
    colour = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6

    def saved(image: Image.Image, kind: str, **options: object) -> bytes:
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    frames = {"save_all": True, "append_images": [colour.rotate(90), colour.rotate(180)]}
    return [
        (saved(colour, "JPEG", quality=80), JPEG),
        (saved(colour, "JPEG", progressive=True, exif=exif, icc_profile=b"x" * 300), JPEG),
        (saved(colour.convert("CMYK"), "JPEG"), JPEG),
        (saved(colour.convert("L"), "JPEG", optimize=True), JPEG),
        (saved(colour, "PNG", exif=exif), PNG),
        (saved(colour.convert("P"), "PNG", transparency=3), PNG),
        (saved(colour.convert("RGBA"), "PNG", **frames), PNG),
        (saved(colour.convert("I;16"), "PNG"), PNG),
        (saved(colour.convert("1"), "PNG"), PNG),
        (saved(colour, "WEBP", quality=70, exif=exif), WEBP),
        (saved(colour.convert("RGBA"), "WEBP", lossless=True), WEBP),
        (saved(colour, "WEBP", **frames), WEBP),
    ]


def overlapping(values: int, kind: int = 1, size: int = 1) -> bytes:
    """Return a TIFF directory whose values all lie on each other, as EXIF and MPF hold one."""
    count = 12 * values // size
    entries = b"".join(struct.pack("<HHLL", 1 + i, kind, count, 8) for i in range(values))
    return b"II*\0" + struct.pack("<LH", 8, values) + entries + bytes(4)


def noted() -> list[tuple[bytes, ContentType]]:
    """Return small photos whose notes take gigabytes or hours to read."""
    pixel = Image.new("RGB", (8, 8))

    def saved(kind: str, exif: bytes) -> bytes:
        file = io.BytesIO()
        pixel.save(file, kind, exif=exif)
        return file.getvalue()

    def segments(marker: int, name: bytes, data: bytes) -> bytes:
        parts = (data[start : start + 65_000] for start in range(0, len(data), 65_000))
        return b"".join(
            bytes((0xFF, marker)) + struct.pack(">H", 2 + len(name) + len(part)) + name + part
            for part in parts
        )

    plain, exif = saved("JPEG", b""), overlapping(60_000)
    # Fractions, of each of which Pillow makes an object.
    ratios = overlapping(5_300, kind=5, size=8)
    return [
        (plain[:2] + segments(0xE1, b"Exif\0\0", exif) + plain[2:], JPEG),
        # Behind an end that only some readers take for one.
        (plain[:2] + b"\xff\xd9" + segments(0xE1, b"Exif\0\0", exif) + plain[2:], JPEG),
        (plain[:2] + segments(0xE2, b"MPF\0", ratios) + plain[2:], JPEG),
        (saved("PNG", exif), PNG),
        (saved("WEBP", exif), WEBP),
        (saved("PNG", b"Exif\0\0" * 1_500_000), PNG),
    ]


def bombs() -> list[tuple[bytes, ContentType]]:
    """Return small files that say, or are, enormous."""

    def png(width: int, height: int, body: bytes) -> bytes:
        def chunk(name: bytes, data: bytes) -> bytes:
            crc = zlib.crc32(name + data)
            return struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc)

        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
        )

    packed = zlib.compress(bytes(50_000_000), 9)
    text = zlib.compress(b"a" * 60_000_000, 9)
    small = png(8, 8, zlib.compress(bytes(8 * 25)))
    ztxt = b"zTXt" + b"k\0\0" + text
    bomb = struct.pack(">I", len(ztxt) - 4) + ztxt + struct.pack(">I", zlib.crc32(ztxt))
    return [
        (png(60_000, 60_000, packed), PNG),
        (png(0xFFFFFFFF, 0xFFFFFFFF, packed), PNG),
        (png(1000, 1000, packed), PNG),
        (small[:33] + bomb + small[33:], PNG),
        (small[:33] + bomb * 20 + small[33:], PNG),
        *noted(),
    ]


class Fuzzer:
    """Looks at one file after the other, and counts what it is answered."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.findings: list[str] = []
        self.slowest = 0.0

    def look(self, name: str, data: bytes, announced: ContentType) -> None:
        """Check and decode one file as the front end and the worker do."""
        began = time.perf_counter()
        for part, call in (
            ("intake", lambda: _sniff(data, announced)),
            ("worker", lambda: decode(data, announced, MAX_PIXELS)),
        ):
            try:
                call()
            except FacesError as error:
                self.answers[f"{part} {error.code.value}"] += 1
            except Exception as error:  # noqa: BLE001 - that is what is looked for
                self.findings.append(f"{name}: {part} raised {error!r}")
            else:
                self.answers[f"{part} takes it"] += 1
        seconds = time.perf_counter() - began
        self.slowest = max(self.slowest, seconds)
        if seconds > SECONDS:
            self.findings.append(f"{name}: took {seconds:.1f} s")


def _sniff(data: bytes, announced: ContentType) -> None:
    rest = io.BytesIO(data)
    check_photo(rest.read(HEAD_BYTES), rest.read, announced, MAX_PIXELS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.security.fuzz")
    parser.add_argument("--variants", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    fuzzer, known = Fuzzer(), seeds()
    for number, (data, announced) in enumerate(known):
        fuzzer.look(f"seed {number}", data, announced)
    if fuzzer.answers != {"intake takes it": len(known), "worker takes it": len(known)}:
        fuzzer.findings.append(f"a good photo is refused: {fuzzer.answers}")
    for number, (data, announced) in enumerate(bombs()):
        fuzzer.look(f"bomb {number}", data, announced)
    mutator = Mutator([data for data, _ in known], chosen.seed)
    out = sys.stderr
    for number in range(chosen.variants):
        # After a crash, of which Python says nothing, the last line says where to look.
        if number % 100 == 0:
            out.write(f"variants {number} to {number + 99} of seed {chosen.seed}\n")
            out.flush()
        seed, data = mutator.variant()
        fuzzer.look(f"variant {number}", data, known[seed][1])
    for answer, count in sorted(fuzzer.answers.items()):
        sys.stdout.write(f"{count:7} {answer}\n")
    sys.stdout.write(f"slowest {fuzzer.slowest:.2f} s\n")
    for finding in fuzzer.findings[:20]:
        sys.stdout.write(f"FINDING {finding}\n")
    return 1 if fuzzer.findings else 0


if __name__ == "__main__":
    sys.exit(main())
