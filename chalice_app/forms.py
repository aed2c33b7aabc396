"""Bodies of the type multipart/form-data (RFC 7578)."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import GetPydanticSchema
from pydantic_core import core_schema
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from faces.contracts.errors import ErrorCode, FacesError, InvalidInput

MULTIPART = "multipart/form-data"
MAX_PARTS = 20
_FIELD_MAX_BYTES = 4096
_BODY = "body"


@dataclass(frozen=True)
class FormFile:
    """A part with a file name.

    Attributes
    ----------
    name : the file's name as the client gave it, without folders; may be empty.
    content_type : as the client gave it; empty where it gave none.
    """

    name: str
    content_type: str
    data: bytes = field(repr=False)


# In a model of a form: a file in the document that describes it.
Upload = Annotated[
    FormFile,
    GetPydanticSchema(
        get_pydantic_core_schema=lambda _source, _handler: core_schema.is_instance_schema(FormFile),
        get_pydantic_json_schema=lambda _schema, _handler: {"type": "string", "format": "binary"},
    ),
]


@dataclass
class _Part:
    headers: dict[bytes, bytes] = field(default_factory=dict)
    header: bytes = b""
    value: bytes = b""
    data: bytearray = field(default_factory=bytearray)


class _Parts:
    """Collects what the parser tells."""

    def __init__(self) -> None:
        self.all: list[_Part] = []
        self.complete = False

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.all) == MAX_PARTS:
            raise InvalidInput(_BODY, f"A form may have {MAX_PARTS} parts at most.")
        self.all.append(_Part())

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self.all[-1].header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self.all[-1].value += data[start:end]

    def _header_end(self) -> None:
        part = self.all[-1]
        part.headers[part.header.lower()] = part.value
        part.header = part.value = b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.all[-1].data += data[start:end]

    def _end(self) -> None:
        self.complete = True


def parse_form(content_type: str, body: bytes) -> dict[str, str | FormFile]:
    """Return the parts of a form by name: text, or files where a part has a file name.

    Raises
    ------
    FacesError
        `unsupported_media_type` when it is no form; `invalid_request` when it is broken.
    """
    # A header is ASCII; of one that is not, nothing is a boundary.
    kind, options = parse_options_header(content_type.encode("ascii", "replace"))
    boundary = options.get(b"boundary")
    if kind != MULTIPART.encode():
        raise FacesError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE, f"Send the body as a form, with {MULTIPART}."
        )
    if not boundary:
        raise InvalidInput(_BODY, "The form's Content-Type names no boundary.")
    parts = _Parts()
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise InvalidInput(_BODY, "The form cannot be read; its parts are broken.") from None
    if not parts.complete:
        raise InvalidInput(_BODY, "The form ends before its last boundary.")
    found: dict[str, str | FormFile] = {}
    for part in parts.all:
        name, value = _read(part)
        if name in found:
            raise InvalidInput(name, f"{name}: comes twice; send it once")
        found[name] = value
    return found


def _read(part: _Part) -> tuple[str, str | FormFile]:
    disposition, options = parse_options_header(part.headers.get(b"content-disposition"))
    if disposition != b"form-data" or b"name" not in options:
        raise InvalidInput(_BODY, "A part of the form has no name.")
    name = _text(_BODY, options[b"name"])
    if b"filename" in options:
        file_name = _text(name, options[b"filename"]).replace("\\", "/").rsplit("/", 1)[-1]
        announced = part.headers.get(b"content-type", b"").decode("latin-1").strip().lower()
        return name, FormFile(file_name, announced, bytes(part.data))
    if len(part.data) > _FIELD_MAX_BYTES:
        raise InvalidInput(name, f"{name}: has more than {_FIELD_MAX_BYTES} bytes")
    return name, _text(name, bytes(part.data))


def _text(field_name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput(field_name, "The form holds text that is no UTF-8.") from None
