"""Limit the bytes of large requests in progress on this instance, so that it does not run out of memory."""

from functools import partial

from relay.api.problems import WHOLE
from relay.core.errors import Refusal
from relay.core.memory import MemoryLimits
from relay.platform.concurrency import LARGE_BYTES, Held

RETRY_AFTER_SECONDS = 2


class BodyBudget:
    """Counts the bodies of requests in progress."""

    def __init__(self, limits: MemoryLimits) -> None:
        self._limits = limits
        self._held = 0

    def hold(self, size: int) -> Held:
        """Count a body of this size while its request is in progress. Raises `Refusal`: 413 and 503.

        Small bodies are always admitted, and so is a large one while no other body is counted.
        """
        if size > self._limits.body_bytes:
            text = (
                f"The body is too large for the memory of an instance: {size} bytes (limit {self._limits.body_bytes})."
                " Upload large files in parts (POST /v1/attachments?parts=true)."
            )
            raise Refusal(413, "message_too_large", text, target=WHOLE)
        if size > LARGE_BYTES and self._held and self._held + size > self._limits.in_flight_bytes:
            raise Refusal(
                503,
                "busy",
                "Too many large requests are in progress on this instance. Retry after Retry-After.",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            )
        self._held += size
        return Held(partial(self._release, size))

    def _release(self, size: int) -> None:
        self._held -= size
