"""Reading photos and telling their type."""

import io

import pytest
from PIL import Image

from faces.client.photos import load, sniff
from faces.contracts.jobs import ContentType


@pytest.mark.parametrize("kind", list(ContentType))
def test_types_are_told_from_real_files(kind: ContentType) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind.value.removeprefix("image/"))
    assert sniff(buffer.getvalue()) is kind
    assert load(buffer.getvalue()).content_type is kind


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"RIFF....AVI ", b"hello"])
def test_other_content_is_announced_as_jpeg(data: bytes) -> None:
    assert sniff(data) is None
    assert load(data).content_type is ContentType.JPEG


def test_the_type_can_be_said() -> None:
    assert load(b"\xff\xd8\xff", ContentType.WEBP).content_type is ContentType.WEBP
