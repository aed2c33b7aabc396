"""Callbacks reach public addresses only, however a host is written or resolves."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalice_app.callback_address import (
    ForbiddenAddress,
    NoAddress,
    check_url,
    networks,
    reachable,
    resolve_target,
)

FORBIDDEN = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255",
    "192.168.1.1", "169.254.169.254", "169.254.170.2", "100.64.0.1", "192.0.2.1",
    "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "feff::1",
    "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
    "64:ff9b:1:7f00:0:100::", "64:ff9b:1:a9fe:a9:fe00:808:808", "::ffff:0:7f00:1",
    "2002:7f00:1::", "2002:a9fe:a9fe::", "2002:c0a8:101::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_forbidden_addresses(address: str) -> None:
    assert not reachable(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(ForbiddenAddress):
        check_url(f"http://{host}:8080/x")
    with pytest.raises(ForbiddenAddress):
        resolve_target("https://example.com/", (), lambda _host, _port: ["8.8.8.8", address])


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert reachable(ipaddress.ip_address(address))
    target = resolve_target("https://example.com/a?b=c", (), lambda _host, _port: [address])
    assert (target.host, target.port, target.address, target.path) == (
        "example.com",
        443,
        address,
        "/a?b=c",
    )


@given(st.integers(min_value=0, max_value=2**32 - 1))
def test_an_address_within_an_address_is_judged_alike(number: int) -> None:
    plain = ipaddress.IPv4Address(number)
    mapped = ipaddress.IPv6Address(f"::ffff:{plain}")
    translated = ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + number)
    assert reachable(mapped) == reachable(plain) == reachable(translated)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST.", "a.localhost", "0x7f.1", "2130706433", "0177.0.0.1", "127.1"],
)
def test_other_ways_to_write_this_computer(host: str) -> None:
    with pytest.raises(ForbiddenAddress):
        check_url(f"http://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/", "file:///etc/passwd", "gopher://x/", "//example.com", "example.com",
        "http://", "http://user:password@example.com/", "http://user@example.com/",
        "http://example.com:0/", "http://example.com:99999/", "http://example.com\\@127.0.0.1/",
        "http://exa mple.com/", "http://exämple.com/", "http://example.com/\r\nX: y", "http://[::1",
    ],
)  # fmt: skip
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ForbiddenAddress):
        check_url(url)


def test_a_setting_lets_some_through() -> None:
    allowed = networks("127.0.0.1/32, fd00::/8")
    check_url("http://127.0.0.1:9000/", allowed)
    check_url("http://[fd00::1]/", allowed)
    assert resolve_target("http://x.test/", allowed, lambda _h, _p: ["127.0.0.1"]).port == 80
    for other in ("127.0.0.2", "10.0.0.1", "::1", "169.254.169.254"):
        assert not reachable(ipaddress.ip_address(other), allowed)
    assert reachable(ipaddress.ip_address("::ffff:127.0.0.1"), allowed)


def test_a_name_that_resolves_to_nothing_is_tried_again() -> None:
    def fail(_host: str, _port: int) -> list[str]:
        raise socket.gaierror("no such host")

    with pytest.raises(NoAddress):
        resolve_target("https://example.com/", (), fail)
    with pytest.raises(NoAddress):
        resolve_target("https://example.com/", (), lambda _h, _p: [])
