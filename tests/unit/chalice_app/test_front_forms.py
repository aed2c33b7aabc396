"""Forms: what browsers, curl and careless clients send, and what is broken."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalice_app.forms import MAX_PARTS, MULTIPART, FormFile, parse_form
from faces.contracts.errors import ErrorCode, FacesError

TYPE = f"{MULTIPART}; boundary=xyz"


def part(disposition: str, data: bytes, *headers: str) -> bytes:
    lines = [f"Content-Disposition: form-data; {disposition}", *headers]
    return b"--xyz\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + data + b"\r\n"


END = b"--xyz--\r\n"
PHOTO = bytes(range(256)) + b"\r\n--xy\r\n--xy"


def test_a_file_without_a_type_and_a_text() -> None:
    body = part('name="inputFile"; filename="test_00.jpg"', PHOTO) + part('name="name"', b"Ann")
    assert parse_form(TYPE, body + END) == {
        "inputFile": FormFile("test_00.jpg", "", PHOTO),
        "name": "Ann",
    }


def test_a_file_with_a_type_and_a_name_of_other_letters() -> None:
    body = part('name="image"; filename="Ægir.png"', b"x", "Content-Type: Image/PNG") + END
    assert parse_form(TYPE, body) == {"image": FormFile("Ægir.png", "image/png", b"x")}


@pytest.mark.parametrize("name", ["/home/me/a.jpg", "C:/photos/a.jpg", "..\\\\..\\\\a.jpg"])
def test_folders_are_left_out(name: str) -> None:
    body = part(f'name="f"; filename="{name}"', b"x") + END
    assert parse_form(TYPE, body)["f"] == FormFile("a.jpg", "", b"x")


@pytest.mark.parametrize(
    ("content_type", "code"),
    [
        ("application/json", ErrorCode.UNSUPPORTED_MEDIA_TYPE),
        ("", ErrorCode.UNSUPPORTED_MEDIA_TYPE),
        (MULTIPART, ErrorCode.INVALID_REQUEST),
        (f"{MULTIPART}; boundary=", ErrorCode.INVALID_REQUEST),
        (f"{MULTIPART}; boundary={'x' * 500}", ErrorCode.INVALID_REQUEST),
    ],
)
def test_what_is_no_form(content_type: str, code: ErrorCode) -> None:
    with pytest.raises(FacesError) as error:
        parse_form(content_type, part('name="a"', b"x") + END)
    assert error.value.code is code


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"photo",
        part('name="a"', b"x"),  # no end
        part('filename="a.jpg"', b"x") + END,
        b"--xyz\r\n\r\nx\r\n" + END,
        part('name="a"', b"x") + part('name="a"', b"y") + END,
        part('name="a"', b"\xff") + END,
        part('name="a"', b"x" * 5000) + END,
        part('name="a"', b"x", "X: " + "y" * 10_000) + END,
        b"".join(part(f'name="{n}"', b"x") for n in range(MAX_PARTS + 1)) + END,
    ],
)
def test_broken_forms(body: bytes) -> None:
    with pytest.raises(FacesError) as error:
        parse_form(TYPE, body)
    assert error.value.code is ErrorCode.INVALID_REQUEST


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=100))
def test_any_bytes_are_a_form_or_refused(body: bytes, head: bytes) -> None:
    for sent in (body, b"--xyz\r\n" + head + b"\r\n\r\n" + body + b"\r\n--xyz--"):
        try:
            parse_form(TYPE, sent)
        except FacesError as error:
            assert error.code is ErrorCode.INVALID_REQUEST  # noqa: PT017


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=2000).filter(lambda data: b"--xyz" not in data))
def test_a_file_comes_out_as_it_went_in(data: bytes) -> None:
    body = part('name="f"; filename="a"', data) + END
    assert parse_form(TYPE, body)["f"] == FormFile("a", "", data)


def test_a_boundary_that_is_no_ascii_is_refused() -> None:
    with pytest.raises(FacesError) as error:
        parse_form("multipart/form-data; boundary=\u20ac", part('name="a"', b"x") + END)
    assert error.value.code is ErrorCode.INVALID_REQUEST
