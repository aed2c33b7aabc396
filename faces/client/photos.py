"""The photo to be sent: from a path or from bytes."""

import os
from dataclasses import dataclass
from pathlib import Path

from faces.client.errors import PhotoNotReadable
from faces.contracts.jobs import ContentType

_BY_SUFFIX = {
    ".png": ContentType.PNG,
    ".webp": ContentType.WEBP,
}


_SIGNATURE_BYTES = 16


@dataclass(frozen=True)
class Photo:
    """Bytes of a photo and what is said about them.

    Attributes
    ----------
    content_type : announced to the service, which checks it against the content.
    name : file name without folders, or None.
    """

    data: bytes
    content_type: ContentType
    name: str | None = None


Source = str | os.PathLike[str] | bytes | Photo


def load(source: Source, content_type: ContentType | None = None) -> Photo:
    """Read `source`; the type is told from the first bytes, else from the file name.

    What cannot be told is announced as JPEG, and the service says what is wrong with it.

    Raises
    ------
    PhotoNotReadable
        The file is not there or cannot be read.
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, bytes):
        return Photo(source, content_type or sniff(source) or ContentType.JPEG)
    name, guess = described(source)
    path = Path(source)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotoNotReadable(f"{path}: {error.strerror or error}") from error
    return Photo(data, content_type or guess, name)


def described(source: Source) -> tuple[str | None, ContentType]:
    """Return name and type of a photo as `load` tells them, from its first bytes alone.

    Raises
    ------
    PhotoNotReadable
        The file is not there or cannot be read.
    """
    if isinstance(source, Photo):
        return source.name, source.content_type
    if isinstance(source, bytes):
        return None, sniff(source) or ContentType.JPEG
    path = Path(source)
    try:
        with path.open("rb") as file:
            start = file.read(_SIGNATURE_BYTES)
    except OSError as error:
        raise PhotoNotReadable(f"{path}: {error.strerror or error}") from error
    return path.name, sniff(start) or _BY_SUFFIX.get(path.suffix.lower(), ContentType.JPEG)


def sniff(data: bytes) -> ContentType | None:
    """Return the image type that the first bytes tell, or None.

    Signatures: JPEG (ITU T.81, B.1.1.3), PNG (ISO 15948, 5.2), WebP (RFC 9649, 2.4).
    """
    if data.startswith(b"\xff\xd8\xff"):
        return ContentType.JPEG
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return ContentType.PNG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ContentType.WEBP
    return None
