"""Before `azd deploy`: pause delivery, if RELAY_PAUSE_DEPLOYMENTS is true in the azd environment. Postdeploy resumes it."""

import sys
from collections.abc import Mapping
from pathlib import Path

if sys.version_info < (3, 13):  # noqa: UP036 - azd runs this with whatever Python it finds
    sys.exit(
        f"The hooks need Python 3.13 or newer, found {sys.version.split()[0]}: install it and put it first on PATH."
    )

# azd runs this file with its own folder first on the path.
sys.path.insert(0, str(Path(__file__).parent.parent))

from hooks.steps import key_path, pause_delivery, pauses_delivery, required
from hooks.system import System, main, read_key


async def run(environ: Mapping[str, str], system: System) -> None:
    """Run the hook. Raises `StepError`."""
    if not pauses_delivery(environ):
        return
    url = required(environ, "RELAY_URL", "azd provision")
    key = read_key(key_path(environ, system))
    if not key:
        system.report(
            f"Delivery not paused: {key_path(environ, system)} has no key. That is so before the first deployment."
        )
        return
    await pause_delivery(system, url, key)


if __name__ == "__main__":
    main(run)
