"""The embedded Valkey: closed to others, and gone when it is told to go."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from local_stack.service import LocalStackError
from local_stack.settings import free_ports
from local_stack.valkey import ValkeyService


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ValkeyService]:
    made = ValkeyService(free_ports(1)[0], tmp_path / "valkey", tmp_path / "log")
    yield made
    made.stop()


def say(service: ValkeyService, *lines: str) -> bytes:
    """Send inline commands and return all that is answered until the server hangs up."""
    address = urlsplit(service.url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 0), timeout=5) as link:
        link.sendall("".join(f"{line}\r\n" for line in (*lines, "QUIT")).encode())
        answer = b""
        while received := link.recv(4096):
            answer += received
    return answer


def test_answers_who_knows_the_password(service: ValkeyService) -> None:
    service.start()
    assert b"NOAUTH" in say(service, "GET key")
    login = f"AUTH {urlsplit(service.url).password}"
    assert (
        say(service, login, "SET key value", "GET key") == b"+OK\r\n+OK\r\n$5\r\nvalue\r\n+OK\r\n"
    )


def test_listens_on_the_loopback_only(service: ValkeyService) -> None:
    service.start()
    assert service.pid is not None
    listening = [
        each for each in psutil.Process(service.pid).net_connections() if each.status == "LISTEN"
    ]
    assert {each.laddr[0] for each in listening} == {"127.0.0.1"}


def test_comes_back_after_kill_9_under_the_same_url(service: ValkeyService) -> None:
    service.start()
    url = service.url
    assert service.pid is not None
    os.kill(service.pid, signal.SIGKILL)
    service.start()
    assert service.alive()
    assert service.url == url
    service.stop()
    assert not service.alive()


def test_says_which_setting_moves_a_taken_port(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = ValkeyService(holder.getsockname()[1], tmp_path / "valkey", tmp_path / "log")
        with pytest.raises(LocalStackError, match="VALKEY_PORT"):
            taken.start()
