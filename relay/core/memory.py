"""Derive limits of bytes from the memory of an instance. Pure."""

import msgspec

PLATFORM_MB = 300
"""Memory of the Functions host, and of the worker before any request."""
COPIES = 8
"""Memory that one large request takes at its peak, as a multiple of its body.

Five copies exist before Relay gets the body: in the host, in the gRPC message, in the worker's copies of it. Relay's own part is
measured by tests/api/test_large_mail.py.
"""
_MIB = 1_048_576


class MemoryLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of an instance in bytes: the largest body of one request, and the total in progress at once.

    `in_flight_bytes` limits HTTP requests and, separately, the messages that are being delivered.
    """

    body_bytes: int
    in_flight_bytes: int


def memory_limits(instance_memory_mb: int) -> MemoryLimits:
    """Return the limits of an instance with this memory."""
    usable = max(instance_memory_mb - PLATFORM_MB, instance_memory_mb // 4) * _MIB
    return MemoryLimits(body_bytes=usable // COPIES, in_flight_bytes=usable // (2 * COPIES))
