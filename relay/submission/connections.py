"""Count connections, and find the client's address: from the connection, or from the PROXY header of a load balancer."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from relay.submission.settings import Address, Limits


class Connections:
    """The open connections, in all and by address."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: Counter[bytes] = Counter()

    @contextmanager
    def opened(self, address: Address | None) -> Iterator[str]:
        """Count a connection while it is open. Yields why it is refused; empty if it is not."""
        host = _host(address)
        self._open[host] += 1
        try:
            if self._open.total() > self._limits.connections:
                yield "Too many connections"
            elif self._open[host] > self._limits.connections_per_address:
                yield "Too many connections from this address"
            else:
                yield ""
        finally:
            self._open[host] -= 1
            if not self._open[host]:
                del self._open[host]


def _host(address: Address | None) -> bytes:
    """Return the part of an address that one host keeps: an IPv4 address, or a /64 of IPv6 (RFC 4291 section 2.5.4)."""
    return address.packed[:8] if address is not None else b""
