"""Which addresses a callback may reach: public ones, and those that a setting allows.

A callback's URL is a stranger's wish for a request out of our network. So its host is
resolved when the callback is sent, every address is checked, and the connection goes to
the very address that was checked: a name that resolves otherwise a moment later (DNS
rebinding) gains nothing.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], list[str]]

_PORTS = {"http": 80, "https": 443}
# IPv6 that carries an IPv4 address: RFC 6052 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# RFC 8215: where in it the IPv4 address lies, is the network's own choice.
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")
# RFC 3879: private, though no longer to be used; Python counts it among the global ones.
_SITE_LOCAL = ipaddress.IPv6Network("fec0::/10")


class ForbiddenAddress(ValueError):
    """A callback may not go there; the message says why, for people."""


class NoAddress(OSError):
    """The host has no address at the moment."""


@dataclass(frozen=True)
class Target:
    """Where a callback goes.

    Attributes
    ----------
    host : as the URL names it, for `Host` and the certificate.
    address : the checked address to connect to.
    path : with the query.
    """

    scheme: str
    host: str
    port: int
    address: str
    path: str


def networks(text: str) -> tuple[IpNetwork, ...]:
    """Return the networks of a setting (CIDR, separated by commas)."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def parse_url(url: str) -> tuple[str, str, int, str]:
    """Return scheme, host, port and path of a callback's URL.

    Raises
    ------
    ForbiddenAddress
        When it is no http or https address, or carries a name and password.
    """
    # Object metadata takes ASCII only; other characters are percent-encoded in a URL.
    usable = url.isascii() and url.isprintable() and " " not in url and "\\" not in url
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        usable, port = False, None
    if not usable or parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise ForbiddenAddress("must be an http or https address")
    if parts.username is not None or parts.password is not None:
        raise ForbiddenAddress("must not carry a user name or password")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme], path


def check_url(url: str, allowed: Sequence[IpNetwork] = ()) -> None:
    """Refuse what can be seen to be forbidden without asking anybody.

    Raises
    ------
    ForbiddenAddress
        As `parse_url`; also for a host that is written as an address which may not be reached.
    """
    _, host, _, _ = parse_url(url)
    literal = _literal(host)
    if literal is not None and not reachable(literal, allowed):
        raise ForbiddenAddress("must lead to a public address")
    if literal is None and host.rstrip(".").lower().endswith("localhost") and not allowed:
        raise ForbiddenAddress("must lead to a public address")


def resolve_target(
    url: str, allowed: Sequence[IpNetwork], resolve: Resolve | None = None
) -> Target:
    """Return where a callback goes, its host resolved and checked.

    Raises
    ------
    ForbiddenAddress
        When one of the host's addresses may not be reached: all are refused then.
    NoAddress
        When the host cannot be resolved now.
    """
    scheme, host, port, path = parse_url(url)
    try:
        found = (resolve or _resolve)(host, port)
    except (OSError, UnicodeError) as error:
        raise NoAddress(f"{host} cannot be resolved") from error
    if not found:
        raise NoAddress(f"{host} has no address")
    for text in found:
        if not reachable(ipaddress.ip_address(text.partition("%")[0]), allowed):
            raise ForbiddenAddress("leads to an address that is not public")
    return Target(scheme, host, port, found[0], path)


def reachable(address: IpAddress, allowed: Sequence[IpNetwork] = ()) -> bool:
    """Return whether callbacks may reach an address.

    Addresses within addresses are looked at too: those that map, translate or tunnel IPv4.
    """
    inner = _inner(address)
    if any(each in network for each in (address, *inner) for network in allowed):
        return True
    return all(_public(each) for each in (inner or [address]))


def _public(address: IpAddress) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not address.is_link_local
        and not address.is_unspecified
        and address not in _SITE_LOCAL
        and address not in _NAT64_LOCAL
    )


def _inner(address: IpAddress) -> list[IpAddress]:
    """Return the IPv4 addresses that an IPv6 address carries; for others nothing."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.sixtofour is not None:
        return [address.sixtofour]
    if address.teredo is not None:
        return list(address.teredo)
    if address in _NAT64 or address in _IPV4_COMPATIBLE:
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    return []


def _literal(host: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        # What the system's resolver would take for an address, such as 0x7f.1 or 2130706433.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
