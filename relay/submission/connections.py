"""Count connections, and find the client's address: from the connection, or from the PROXY header of a load balancer."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from relay.submission.settings import Address, Limits


class Connections:
    """The open connections, in all and by address."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: Counter[Address | None] = Counter()

    @contextmanager
    def opened(self, address: Address | None) -> Iterator[str]:
        """Count a connection while it is open. Yields why it is refused; empty if it is not."""
        self._open[address] += 1
        try:
            if self._open.total() > self._limits.connections:
                yield "Too many connections"
            elif self._open[address] > self._limits.connections_per_address:
                yield "Too many connections from this address"
            else:
                yield ""
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
