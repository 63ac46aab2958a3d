"""After `azd deploy`: wait until the app works, make the first client's key, ask the doctor, send a test mail.

RELAY_TEST_SENDER and RELAY_TEST_RECIPIENT in the azd environment: with both, a test mail is sent.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

if sys.version_info < (3, 13):  # noqa: UP036 - azd runs this with whatever Python it finds
    sys.exit("The hooks need Python 3.13 or newer, because they use Relay's own code.")

# azd runs this file with its own folder first on the path.
sys.path.insert(0, str(Path(__file__).parent.parent))

from hooks.steps import (
    ask_ready,
    is_closed_to_us,
    make_first_key,
    send_test_mail,
    storage_environment,
    told_of,
    until,
)
from hooks.world import StepError, World, real_world


async def run(environ: Mapping[str, str], world: World) -> None:
    """Raises `StepError`."""
    url = told_of(environ, "RELAY_URL", "azd provision")
    await until("The app", lambda: ask_ready(world, url), world)
    key = await _first_key(environ, world)
    if not key:
        return
    if not await world.examine(url, key):
        raise StepError("The doctor found something: what it says tells how to mend it. Then run `azd deploy` again.")
    await _test_mail(environ, world, url, key)


async def _first_key(environ: Mapping[str, str], world: World) -> str:
    """The first client's key, or empty where it cannot be had from here."""
    if is_closed_to_us(environ):
        world.tell("No key was made: storage takes calls from the virtual network alone (docs/deploy.md).")
        return ""
    path = world.folder / ".azure" / environ.get("AZURE_ENV_NAME", "default") / "relay-client-key"
    relay = world.start(storage_environment(environ))
    try:
        key = await make_first_key(relay, path)
    finally:
        await relay.close()
    world.tell(
        f"The first client's key is in {path}."
        if key
        else "The first client is there; its key is not on this computer."
    )
    return key


async def _test_mail(environ: Mapping[str, str], world: World, url: str, key: str) -> None:
    sender, recipient = environ.get("RELAY_TEST_SENDER", ""), environ.get("RELAY_TEST_RECIPIENT", "")
    if not sender or not recipient:
        world.tell("No test mail: `azd env set` RELAY_TEST_SENDER and RELAY_TEST_RECIPIENT to have one sent.")
        return
    state = await send_test_mail(world, url, key, sender=sender, recipient=recipient)
    if state == "sent":
        world.tell("The provider took the test mail.")
    else:
        world.tell("The test mail waits: its route is held, and Relay goes on by itself (GET /v1/routes tells why).")


async def _run() -> None:
    async with real_world(os.environ) as world:
        await run(os.environ, world)


if __name__ == "__main__":
    try:
        asyncio.run(_run())
    except StepError as error:
        sys.exit(str(error))
