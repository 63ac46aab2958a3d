"""After `azd deploy`: wait until the app is ready, create the first client, run the doctor, send a test mail.

The test mail needs RELAY_TEST_SENDER and RELAY_TEST_RECIPIENT in the azd environment.
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

from hooks.steps import (
    check_ready,
    create_first_key,
    is_storage_private,
    key_path,
    pauses_delivery,
    required,
    resume_delivery,
    send_test_mail,
    storage_environment,
    until,
)
from hooks.system import StepError, System, main


async def run(environ: Mapping[str, str], system: System) -> None:
    """Run the hook. Raises `StepError`."""
    url = required(environ, "RELAY_URL", "azd provision")
    await until("App", lambda: check_ready(system, url), system)
    key = await _first_key(environ, system)
    if not key:
        return
    if pauses_delivery(environ):
        await resume_delivery(system, url, key)
    if not await system.passes_doctor(url, key):
        raise StepError("The doctor found problems. Fix them as described above, then run `azd deploy` again.")
    await _test_mail(environ, system, url, key)


async def _first_key(environ: Mapping[str, str], system: System) -> str:
    """Return the first client's key; empty if this computer cannot reach storage or does not have the key."""
    if is_storage_private(environ):
        system.report(
            "No client key created: storage accepts only calls from the virtual network. "
            "Set ADMIN_IP_ADDRESS, or create one from inside the network (docs/deploy.md)."
        )
        return ""
    path = key_path(environ, system)
    relay = system.start(storage_environment(environ))
    try:
        key = await create_first_key(relay, path)
    finally:
        await relay.close()
    system.report(
        f"The first client's key is in {path}."
        if key
        else f"The first client exists, but its key is not on this computer: the doctor and the test mail are skipped. "
        f"To run them, write the key to {path} and run `azd deploy` again."
    )
    return key


async def _test_mail(environ: Mapping[str, str], system: System, url: str, key: str) -> None:
    sender, recipient = environ.get("RELAY_TEST_SENDER", ""), environ.get("RELAY_TEST_RECIPIENT", "")
    if not sender or not recipient:
        system.report(
            "No test mail sent: set RELAY_TEST_SENDER and RELAY_TEST_RECIPIENT with `azd env set` to send one."
        )
        return
    state = await send_test_mail(system, url, key, sender=sender, recipient=recipient)
    if state == "sent":
        system.report("The provider accepted the test mail.")
    else:
        system.report(
            "The test mail is waiting: its route is held. Relay retries automatically; GET /v1/routes shows the cause."
        )


if __name__ == "__main__":
    main(run)
