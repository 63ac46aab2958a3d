"""After `azd provision`: wait until the role assignments work, and see that the storage is complete."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

if sys.version_info < (3, 13):  # noqa: UP036 - azd runs this with whatever Python it finds
    sys.exit("The hooks need Python 3.13 or newer, because they use Relay's own code.")

# azd runs this file with its own folder first on the path.
sys.path.insert(0, str(Path(__file__).parent.parent))

from hooks.steps import create_storage, is_closed_to_us, storage_environment, until
from hooks.world import StepError, World, real_world


async def run(environ: Mapping[str, str], world: World) -> None:
    """Raises `StepError`."""
    if is_closed_to_us(environ):
        world.tell("Storage takes calls from the virtual network alone: nothing is set up from here (docs/deploy.md).")
        return
    relay = world.start(storage_environment(environ))
    try:
        await until("Rights on storage", lambda: create_storage(relay), world)
    finally:
        await relay.close()


async def _run() -> None:
    async with real_world(os.environ) as world:
        await run(os.environ, world)


if __name__ == "__main__":
    try:
        asyncio.run(_run())
    except StepError as error:
        sys.exit(str(error))
