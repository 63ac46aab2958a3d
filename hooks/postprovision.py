"""After `azd provision`: wait until the role assignments work, then create the queues, tables and containers.

With RELAY_ROLLING_UPDATES=true in the azd environment, later updates replace instances in batches.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

if sys.version_info < (3, 13):  # noqa: UP036 - azd runs this with whatever Python it finds
    sys.exit(
        f"The hooks need Python 3.13 or newer, found {sys.version.split()[0]}: install it and put it first on PATH."
    )

# azd runs this file with its own folder first on the path.
sys.path.insert(0, str(Path(__file__).parent.parent))

from hooks.steps import create_storage, is_storage_private, set_update_strategy, storage_environment, until
from hooks.system import System, main


async def run(environ: Mapping[str, str], system: System) -> None:
    """Run the hook. Raises `StepError`."""
    await set_update_strategy(environ, system)
    if is_storage_private(environ):
        system.report(
            "Storage setup skipped: storage accepts only calls from the virtual network. "
            "Set ADMIN_IP_ADDRESS, or set it up from inside the network (docs/deploy.md)."
        )
        return
    relay = system.start(storage_environment(environ))
    try:
        await until("Access to storage", lambda: create_storage(relay), system)
    finally:
        await relay.close()


if __name__ == "__main__":
    main(run)
