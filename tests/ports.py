"""Ports for servers that start later, or again."""

import random
import socket

RANGE = range(20_000, 32_000)
"""Below the ports that Linux, macOS and Windows give to clients
(https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html: ip_local_port_range; RFC 6335 section 6).
"""


def free_port() -> int:
    """Return a port on which nobody listens, and which no client of another test gets while its server is down."""
    for port in random.SystemRandom().sample(RANGE, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
