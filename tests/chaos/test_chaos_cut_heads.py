"""An answer of S3 that ends too early, at whatever byte, is never taken for a whole one.

A connection that is closed in order looks whole to Python's HTTP client: of a head that was
cut off it takes the lines that came. A request that rides on an upload must not lose a part.
"""

import threading
from collections.abc import Callable, Iterator
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from chalice_app.aws import S3Objects
from faces.contracts.errors import TransientError
from gpu_worker.uploads import S3Uploads
from local_stack.emulator import root_session

# A date that is cut off is read all the same.
pytestmark = pytest.mark.filterwarnings("ignore:tzname")

BODY = b"the bytes of a photo"
METADATA = {"kind": "verify", "tenant": "somebody", "collection": "staff"}
FIELDS = "".join(f"x-amz-meta-{name}: {value}\r\n" for name, value in METADATA.items())
LENGTH = f"Content-Type: image/jpeg\r\nContent-Length: {len(BODY)}\r\n"


def head(*parts: str) -> bytes:
    return (
        "HTTP/1.1 200 OK\r\n"
        # Said first, so that no client asks again on a connection that is being closed.
        "Connection: close\r\n"
        "x-amz-request-id: 1\r\n"
        "Last-Modified: Sat, 21 Nov 2026 12:00:00 GMT\r\n"
        'ETag: "9b2cf535f27731c974343645a3985328"\r\n' + "".join(parts) + "Server: S3\r\n\r\n"
    ).encode()


HEAD = head(FIELDS, LENGTH)
# Not S3's order, but that of others who speak its protocol.
LENGTH_FIRST = head(LENGTH, FIELDS)


class CutOff(ThreadingTCPServer):
    """Answers with the first `length` bytes, then closes in order."""

    allow_reuse_address = True
    daemon_threads = True
    length = 0
    answer = HEAD + BODY


class _Handler(StreamRequestHandler):
    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        assert isinstance(self.server, CutOff)
        self.wfile.write(self.server.answer[: self.server.length])


@pytest.fixture
def server() -> Iterator[CutOff]:
    with CutOff(("127.0.0.1", 0), _Handler) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def s3(server: CutOff) -> Any:
    return root_session().client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{server.server_address[1]}",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=5),
    )


def worker_reads(s3: Any) -> tuple[Any, bytes]:
    upload = S3Uploads(s3, "bucket", 1000).open("key")
    return dict(upload.metadata), upload.read()


def intake_reads(s3: Any) -> tuple[Any, bytes]:
    found = S3Objects(s3).open("bucket", "key")
    assert found is not None
    return dict(found[0].metadata), found[1].read()


def api_looks(s3: Any) -> tuple[Any, bytes]:
    found = S3Objects(s3).head("bucket", "key")
    assert found is not None
    return dict(found.metadata), BODY


def worker_opens(s3: Any) -> tuple[Any, bytes]:
    return dict(S3Uploads(s3, "bucket", 1000).open("key").metadata), BODY


@pytest.mark.parametrize("read", [worker_reads, worker_opens, intake_reads, api_looks])
def test_half_an_answer_is_no_answer(
    server: CutOff, s3: Any, read: Callable[[Any], tuple[Any, bytes]]
) -> None:
    if read is api_looks:
        server.answer = HEAD
    server.length = len(server.answer)
    assert read(s3) == (METADATA, BODY)
    for length in range(len(server.answer)):
        server.length = length
        try:
            found = read(s3)
        except TransientError:
            continue
        except BotoCoreError:  # the body broke off, after a head that was whole
            assert read is intake_reads
            assert length > len(HEAD)
            continue
        # What was cut off was of no use: the name of the server, for one.
        assert found == (METADATA, BODY), server.answer[:length][-40:]


@pytest.mark.parametrize("read", [worker_opens, intake_reads])
def test_metadata_counts_only_with_the_body_that_follows_it(
    server: CutOff, s3: Any, read: Callable[[Any], tuple[Any, bytes]]
) -> None:
    server.answer = LENGTH_FIRST + BODY
    for length in range(len(LENGTH_FIRST) + 1):
        server.length = length
        with pytest.raises(TransientError):
            read(s3)
    server.length = len(server.answer)
    assert read(s3) == (METADATA, BODY)


def test_an_empty_object_is_read(server: CutOff, s3: Any) -> None:
    server.answer = HEAD.replace(LENGTH.encode(), b"Content-Length: 0\r\n")
    server.length = len(server.answer)
    for read in (worker_reads, intake_reads):
        assert read(s3) == (METADATA, b"")


def test_a_stream_gives_every_byte_once(server: CutOff, s3: Any) -> None:
    server.length = len(server.answer)
    found = S3Objects(s3).open("bucket", "key")
    assert found is not None
    _, stream = found
    parts = [stream.read(0), stream.read(1), stream.read(3), stream.read(), stream.read()]
    assert b"".join(parts) == BODY
    assert [len(part) for part in parts] == [0, 1, 3, len(BODY) - 4, 0]
