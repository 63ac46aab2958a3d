"""`python -m standins`: a stand-in for every provider in one process, until SIGINT or SIGTERM.

The first line printed is a JSON object: `settings`, the application settings that lead the app to them, and `inboxes`,
the address of each provider's inbox. Then come lines for a reader.
"""

import asyncio
import logging
import signal
import sys
import tempfile
from pathlib import Path

import msgspec

from standins.everything import Everything, domain_of


def lines(everything: Everything) -> list[str]:
    """What is printed once all of them listen."""
    found = {"settings": everything.settings(), "inboxes": everything.inboxes()}
    return [
        msgspec.json.encode(found).decode(),
        *(f"Mail to *@{domain_of(name)} leaves by {name}: {url}" for name, url in everything.inboxes().items()),
    ]


async def run() -> None:
    """Serve until asked to stop."""
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    with tempfile.TemporaryDirectory(prefix="standins-") as folder:
        async with Everything(Path(folder)) as everything:
            print("\n".join(lines(everything)), flush=True)
            await asked_to_stop.wait()


if __name__ == "__main__":
    # aiosmtpd warns of its own deprecations, which are no business of whoever runs this.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    asyncio.run(run())
    sys.exit(0)
