"""Resolve a name and connect to one of its addresses, with TLS."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

from relay.platform.http.connection import Connection
from relay.platform.http.url import Origin

if TYPE_CHECKING:
    from ssl import SSLContext

HAPPY_EYEBALLS_SECONDS = 0.25
"""How long one address may take before the next is tried as well (RFC 8305 section 5)."""

type Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Resolves a host name for a port to addresses. Raises `OSError` if it has none."""


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Resolve a name with the system's resolver. An address is its own."""
    if _family(host) is not None:
        return (host,)
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


@cache
def default_tls() -> "SSLContext":
    """Make the context that trusts the system's authorities, or those of `SSL_CERT_FILE`. Loading them takes a while."""
    import ssl

    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def connect(origin: Origin, resolve: Resolve, tls: "SSLContext | None") -> Connection:
    """Connect to one of the addresses that `resolve` returns, and to no other. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    addresses = await resolve(origin.host, origin.port)
    context = (tls or default_tls()) if origin.is_secure else None
    name = origin.host.rstrip(".") if origin.is_secure else None
    if len(addresses) == 1:
        _, connection = await loop.create_connection(
            Connection, addresses[0], origin.port, ssl=context, server_hostname=name
        )
        return connection
    opened = await _first_connected(addresses, origin.port)
    try:
        _, connection = await loop.create_connection(Connection, sock=opened, ssl=context, server_hostname=name)
    except BaseException:
        opened.close()
        raise
    return connection


async def _first_connected(addresses: Sequence[str], port: int) -> socket.socket:
    """Connect to the first of several addresses that accepts, beginning with the next before the last has failed."""
    from aiohappyeyeballs import start_connection

    infos = [
        (_family(address) or socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
        for address in addresses
    ]
    return await start_connection(infos, happy_eyeballs_delay=HAPPY_EYEBALLS_SECONDS)


def _family(address: str) -> socket.AddressFamily | None:
    """Return the family of an address. None if this is a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address)
        except (OSError, ValueError):
            continue
        return family
    return None
