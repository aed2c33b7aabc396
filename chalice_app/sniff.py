"""Whether an upload is a photo as announced, told from its first bytes; no pixel is decoded."""

from collections.abc import Callable

from faces.contracts.errors import ErrorCode, PhotoError
from faces.contracts.image_head import check_pixels, read_head
from faces.contracts.jobs import ContentType

HEAD_BYTES = 64 * 1024


def check_photo(
    head: bytes, rest: Callable[[], bytes], announced: ContentType, max_pixels: int
) -> None:
    """Check that an upload is a photo of the announced type and of bearable size.

    Parameters
    ----------
    head : the first `HEAD_BYTES` bytes, fewer when the file is shorter.
    rest : returns the bytes after those; called only when the header is longer.
    max_pixels : width times height may not be above this.

    Raises
    ------
    PhotoError
        `not_an_image`, `unsupported_image`, `wrong_content_type`, `corrupt_image` or
        `image_too_large`.
    """
    size = read_head(head, announced).size
    if size is None and announced is ContentType.JPEG:
        # Metadata of any length may stand before a JPEG's size.
        size = read_head(head + rest(), announced).size
    if size is None:
        raise PhotoError(ErrorCode.CORRUPT_IMAGE)
    check_pixels(size, max_pixels)
