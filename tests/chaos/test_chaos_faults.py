"""The proxy does what its faults are called, and nothing else."""

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.chaos.faults import Fault, Plan, Proxy

BODY = bytes(range(256)) * 40


class Service(ThreadingHTTPServer):
    """Answers each request with its body; remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str, bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, body))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.do_PUT()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def proxy(service: Service) -> Iterator[Proxy]:
    with Proxy(service.server_address[1]) as made:
        yield made


def put(proxy: Proxy, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=10)
    try:
        connection.request("PUT", "/bucket/key?x=1", BODY, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_without_a_fault_everything_arrives(proxy: Proxy, service: Service) -> None:
    for _ in range(3):
        assert put(proxy) == (200, BODY)
    assert service.asked == [("PUT", "/bucket/key?x=1", BODY)] * 3


def test_who_waits_for_leave_to_send_gets_it(proxy: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as client:
        client.sendall(
            b"PUT /k HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        assert client.recv(100).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"ok")
        answer = b""
        while data := client.recv(1000):
            answer += data
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"ok")


@pytest.mark.parametrize(("fault", "status"), [(Fault.THROTTLED, 503), (Fault.FAILING, 500)])
def test_refusals_do_not_reach_the_service(
    proxy: Proxy, service: Service, fault: Fault, status: int
) -> None:
    proxy.plan = Plan((fault,), 1.0)
    assert put(proxy)[0] == status
    assert service.asked == []
    assert proxy.plan.met == {fault: 1}


def test_refused_connections_reach_nothing(proxy: Proxy, service: Service) -> None:
    proxy.plan = Plan((Fault.REFUSED,), 1.0)
    with pytest.raises(OSError):
        put(proxy)
    assert service.asked == []


def test_a_lost_answer_was_given(proxy: Proxy, service: Service) -> None:
    proxy.plan = Plan((Fault.ANSWER_LOST,), 1.0)
    with pytest.raises((OSError, http.client.HTTPException)):
        put(proxy)
    assert len(service.asked) == 1


def test_an_answer_that_is_cut_off_is_not_whole(proxy: Proxy, service: Service) -> None:
    proxy.plan = Plan((Fault.CUT,), 1.0)
    broken = 0
    for _ in range(20):
        try:
            # Where the head is cut off in order, Python's client takes what there is.
            assert put(proxy) != (200, BODY)
        except (OSError, http.client.HTTPException):
            broken += 1
    assert len(service.asked) == 20
    assert broken >= 10


def test_a_slow_one_is_late(proxy: Proxy) -> None:
    proxy.plan = Plan((Fault.SLOW,), 1.0, slow_seconds=0.3)
    began = time.monotonic()
    assert put(proxy) == (200, BODY)
    assert time.monotonic() - began >= 0.3


def test_a_seed_gives_the_same_faults_and_only_to_whom_it_may_concern() -> None:
    def chosen(seed: int) -> list[Fault | None]:
        plan = Plan(tuple(Fault), 0.5, seed=seed)
        return [plan.choose("GET", "/") for _ in range(50)]

    assert chosen(1) == chosen(1) != chosen(2)
    plan = Plan(tuple(Fault), 1.0, matching=lambda method, target: target == "/a")
    assert plan.choose("GET", "/b") is None
    assert plan.choose("GET", "/a") is not None


def drain(client: socket.socket) -> None:
    while client.recv(1000):
        pass


def test_bytes_pass_until_they_are_cut(service: Service) -> None:
    with Proxy(service.server_address[1], http=False) as proxy:
        assert put(proxy) == (200, BODY)
        with socket.create_connection(("127.0.0.1", proxy.port), 10) as client:
            client.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1000)
            proxy.cut_all()
            with pytest.raises(ConnectionResetError):
                drain(client)
        proxy.down = True
        with pytest.raises(OSError):
            put(proxy)


def test_bytes_that_come_back_are_cut_off_in_their_middle(service: Service) -> None:
    with Proxy(service.server_address[1], http=False) as proxy:
        proxy.plan = Plan((Fault.CUT,), 1.0)
        for number in range(1, 11):
            with contextlib.suppress(OSError, http.client.HTTPException):
                assert put(proxy) != (200, BODY)
            # It was done nevertheless, as a COMMIT is whose answer nobody hears.
            assert len(service.asked) == proxy.plan.met[Fault.CUT] == number
        proxy.plan = Plan()
        assert put(proxy) == (200, BODY)
