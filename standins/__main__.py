"""`python -m standins`: run a stand-in for each provider in one process, until SIGINT or SIGTERM.

The first output line is a JSON object: `settings`, the application settings that point the app to them, and `inboxes`,
the URL of each provider's inbox. The lines after it are for people.
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
    """Return the lines to print once all stand-ins listen."""
    found = {"settings": everything.settings(), "inboxes": everything.inboxes()}
    return [
        msgspec.json.encode(found).decode(),
        *(
            f"Mail to *@{domain_of(name)} goes through {name}; inbox: {url}"
            for name, url in everything.inboxes().items()
        ),
    ]


async def run() -> None:
    """Serve until SIGINT or SIGTERM."""
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    with tempfile.TemporaryDirectory(prefix="standins-") as folder:
        async with Everything(Path(folder)) as everything:
            print("\n".join(lines(everything)), flush=True)
            await asked_to_stop.wait()


if __name__ == "__main__":
    # aiosmtpd logs warnings about its own deprecations, which do not concern the user.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    asyncio.run(run())
    sys.exit(0)
