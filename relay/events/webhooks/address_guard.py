"""Allow webhooks to the public Internet only, against server-side request forgery (SSRF).

Callers choose the URL. Relay resolves its host name, checks every address, and connects to a checked address, so that DNS
rebinding changes nothing. Redirects are not followed (`relay.events.webhooks.http_post`).
"""

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from relay.platform.http.connect import Resolve, system_resolve

MAX_URL = 2_000

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PLATFORM = frozenset(
    {
        # A public address of Azure's own platform services (learn.microsoft.com/azure/virtual-network/what-is-
        # ip-address-168-63-129-16).
        ipaddress.ip_address("168.63.129.16"),
    }
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address."""
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""The only IPv6 addresses that are assigned to hosts on the Internet (iana.org/assignments/ipv6-address-space). What lies
outside is private, or stands for something else, as `::ffff:0:a.b.c.d` does for an IPv4 address (RFC 2765)."""
_SPECIAL = tuple(
    map(
        ipaddress.ip_network,
        (
            "192.0.0.0/24",  # RFC 6890: protocol assignments, among them the closest PCP and TURN server
            "192.31.196.0/24",  # RFC 7535: AS112
            "192.52.193.0/24",  # RFC 7450: AMT relays
            "192.88.99.0/24",  # RFC 7526: the deprecated 6to4 relays
            "192.175.48.0/24",  # RFC 7534: AS112
            "2001::/23",  # RFC 2928: protocol assignments
            "2620:4f:8000::/48",  # RFC 7534: AS112
            "3fff::/20",  # RFC 9637: documentation
        ),
    )
)
"""Networks of the special-purpose registries (RFC 6890; iana.org/assignments/iana-ipv4-special-registry and -ipv6-) that the
standard library takes for global, or does not know. They lead to network equipment, not to a host on the Internet."""
_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.IGNORECASE)
"""Labels of letters, digits and dashes. No percent-encoding, which a library may decode after the check."""


class Forbidden(OSError):
    """A webhook must not connect to this address."""


def address_fault(text: str, *, allows_loopback: bool) -> str:
    """Return why a webhook must not connect to this address, as a sentence; empty if it may."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return "is no IP address"
    if all(found.is_loopback for found in _targets(address)):
        return "" if allows_loopback else "is a loopback address"
    if any(not _is_public(found) for found in _targets(address)):
        return "is not a public address"
    return ""


def url_fault(url: str, *, allows_loopback: bool) -> str:
    """Return what is wrong with a webhook's URL, as a sentence; empty if nothing is. Does not resolve the name."""
    if len(url) > MAX_URL or not url.isascii() or any(character.isspace() or ord(character) < 33 for character in url):
        return f"must be at most {MAX_URL} ASCII characters, without spaces"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "is no URL"
    if port == 0:
        return "must not have port 0"
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        return "must have a host, and no user, password or fragment"
    if _is_local_name(host) and not allows_loopback:
        return "must not be a local name"
    is_literal = _is_literal(host)
    if not is_literal and (not _HOST_NAME.fullmatch(host) or _ends_in_number(host)):
        return "must name a host, or an IP address in its usual form"
    if is_literal and (fault := address_fault(host, allows_loopback=allows_loopback)):
        return fault
    is_loopback = host == "localhost" or (is_literal and ipaddress.ip_address(host).is_loopback)
    if parts.scheme != "https" and not (parts.scheme == "http" and allows_loopback and is_loopback):
        return "must begin with https://"
    return ""


class Guard:
    """Resolves names to addresses that a webhook may connect to."""

    def __init__(self, *, allows_loopback: bool, resolve: Resolve = system_resolve) -> None:
        self.allows_loopback = allows_loopback
        self._resolve = resolve

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Resolve a host and check every address. Raises `Forbidden` if one is not allowed, `OSError` if there is none."""
        found = await self._resolve(host, port)
        for text in found:
            if fault := address_fault(text, allows_loopback=self.allows_loopback):
                raise Forbidden(fault)
        if not found:
            raise OSError("the name has no address")
        return found


def _targets(address: Address) -> Sequence[Address]:
    """Return the address and the IPv4 addresses embedded in it, to which a gateway may route."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    inside: list[Address] = [address]
    if 1 < int(address) < 2**32:
        # RFC 4291 section 2.5.5.1: IPv4-compatible addresses, deprecated and still routed by some systems.
        inside.append(ipaddress.IPv4Address(int(address)))
    if address.sixtofour is not None:
        inside.append(address.sixtofour)
    if address.teredo is not None:
        inside.extend(address.teredo)
    if address in _NAT64:
        inside.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return inside


def _is_public(address: Address) -> bool:
    if address.version == 6 and address not in _NAT64 and address not in _GLOBAL_UNICAST:
        return False
    if any(address in network for network in _SPECIAL):
        return False
    return address.is_global and not address.is_multicast and address not in _PLATFORM


def _is_local_name(host: str) -> bool:
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith((".localhost", ".local", ".internal"))


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _ends_in_number(host: str) -> bool:
    """Return whether a host is an IPv4 address in another notation, such as 127.1 (WHATWG URL, "ends in a number")."""
    last = host.removesuffix(".").rpartition(".")[2]
    return bool(re.fullmatch(r"[0-9]+|0[xX][0-9a-fA-F]*", last))
