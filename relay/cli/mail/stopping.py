"""Stop a command that runs until a signal."""

import asyncio
import signal


def stopped_by_signals() -> asyncio.Event:
    """Return an event that SIGTERM or SIGINT sets from now on."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        except NotImplementedError:  # Windows: Ctrl+C arrives as KeyboardInterrupt
            break
    return stopping
