"""The steps of the hooks. Each reports what it waits for, and fails with a cause and a next step.

A new role assignment takes up to ten minutes to reach every server, and Azure does not signal when it has. So each step
repeats an attempt until it succeeds.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from hooks.system import Response, StepError, System, read_key, write_key
from relay.bootstrap import Relay
from relay.clients.keys import Role
from relay.clients.policy import Policy
from relay.core.errors import RelayError, Unavailable

FAILED = ("failed", "expired", "cancelled", "unknown")
"""Final states of a test mail that was not sent."""
_APP_API = "2024-11-01"
"""The first version of the app's API that knows update strategies
(https://learn.microsoft.com/azure/azure-functions/flex-consumption-site-updates)."""
PAUSE_SECONDS = 20
_PLACES = {"blob": "RELAY_STORAGE_BLOB_URL", "queue": "RELAY_STORAGE_QUEUE_URL", "table": "RELAY_STORAGE_TABLE_URL"}


async def until(what: str, attempt: Callable[[], Awaitable[str]], system: System) -> None:
    """Repeat `attempt` until it returns no reason to wait. Raises `StepError` with the last reason."""
    reason = ""
    for number in range(system.attempts):
        if number:
            await system.sleep(system.pause_seconds)
        before, reason = reason, await attempt()
        if not reason:
            system.report(f"{what}: done.")
            return
        if reason != before:
            system.report(f"{what}: waiting ({reason}).")
    raise StepError(
        f"{what}: gave up after {system.attempts} attempts. Last result: {reason}. "
        "Fix the cause, then run the same azd command again."
    )


def storage_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that reach the deployed storage with the identity signed in on this computer.

    Raises `StepError` if outputs of the deployment are missing.
    """
    missing = [name for name in _PLACES.values() if not environ.get(name)]
    if missing:
        raise StepError(f"Deployment outputs are missing: {', '.join(missing)}. Run `azd provision` first.")
    services = {f"AzureWebJobsStorage__{service}ServiceUri": environ[name] for service, name in _PLACES.items()}
    # Custom lanes need queues too; no other setting of the app matters here.
    return {**services, "RELAY_LANES": environ.get("RELAY_LANES", "")}


def is_storage_private(environ: Mapping[str, str]) -> bool:
    """Return whether storage accepts only calls from the virtual network, which this computer is not part of."""
    return environ.get("VNET_ENABLED", "").lower() == "true" and not environ.get("ADMIN_IP_ADDRESS")


async def create_storage(relay: Relay) -> str:
    """Create every missing queue, table and container. Return why storage refuses, or an empty text."""
    try:
        await relay.create_storage()
    except Unavailable as error:
        return str(error)
    return ""


async def check_ready(system: System, url: str) -> str:
    """Check that the deployed app reaches its storage with its own identity. Return why not, or an empty text."""
    response = await system.call("GET", f"{url}/v1/ready", "", None)
    if response.status == 200:
        return ""
    if response.status == 0:
        return "no response"
    return f"response {response.status} {json.dumps(response.body)}"


async def create_first_key(relay: Relay, path: Path, *, name: str = "first") -> str:
    """Create the first client and write its key to `path`; if the client exists, return the key in that file.

    Empty if the client exists and the file does not: it was created from another computer. Raises `StepError`.
    """
    try:
        key = await relay.clients.ensure(name, role=Role.OPERATOR, policy=Policy(senders=("*",)))
    except RelayError as error:
        raise StepError(
            f"The first client could not be created: {error}. Fix the cause, then run `azd deploy` again."
        ) from error
    if key is None:
        return read_key(path)
    write_key(path, key)
    return key


async def set_update_strategy(environ: Mapping[str, str], system: System) -> None:
    """Let Azure replace instances in batches, if RELAY_ROLLING_UPDATES is true; all at once again, if it is false.

    Without the setting nothing changes. Raises `StepError` if Azure refuses.
    """
    chosen = {"true": "RollingUpdate", "false": "Recreate"}.get(environ.get("RELAY_ROLLING_UPDATES", "").lower())
    if chosen is None:
        return
    path = (
        f"/subscriptions/{required(environ, 'AZURE_SUBSCRIPTION_ID', 'azd provision')}"
        f"/resourceGroups/{required(environ, 'AZURE_RESOURCE_GROUP', 'azd provision')}"
        f"/providers/Microsoft.Web/sites/{required(environ, 'RELAY_APP_NAME', 'azd provision')}?api-version={_APP_API}"
    )
    if _strategy(await system.manage("GET", path, None)) == chosen:
        system.report(f"Update strategy: {chosen} already.")
        return
    wanted = {"properties": {"functionAppConfig": {"siteUpdateStrategy": {"type": chosen}}}}
    response = await system.manage("PATCH", path, wanted)
    if response.status not in (200, 202) or _strategy(response) not in (chosen, ""):
        raise StepError(
            f"Azure refused {chosen}: {response.status} {json.dumps(response.body)}. The region may not offer "
            "it: run `azd env set RELAY_ROLLING_UPDATES ''` to do without, then `azd provision` again."
        )
    system.report(f"Update strategy: {chosen}, from the next update on.")


def _strategy(response: Response) -> str:
    """Return the update strategy of a site in this response; empty if there is none."""
    body = response.body if isinstance(response.body, dict) else {}
    config = (body.get("properties") or {}).get("functionAppConfig") or {}
    return str((config.get("siteUpdateStrategy") or {}).get("type") or "")


def pauses_delivery(environ: Mapping[str, str]) -> bool:
    """Return whether deployments pause delivery, which is off by default."""
    return environ.get("RELAY_PAUSE_DEPLOYMENTS", "").lower() == "true"


async def pause_delivery(system: System, url: str, key: str) -> None:
    """Pause delivery of the running app and wait until it sends nothing. Raises `StepError`."""

    async def attempt() -> str:
        wanted = {"reason": "deployment", "wait_seconds": PAUSE_SECONDS}
        response = await system.call("POST", f"{url}/v1/pause", key, wanted)
        if response.status != 200:
            return (
                f"POST {url}/v1/pause returned {response.status}; RELAY_PAUSE_DEPLOYMENTS=false deploys without a pause"
            )
        return "" if response.body["is_quiet"] else f"attempts that still run: {response.body['sending']}"

    await until("Pause", attempt, system)


async def resume_delivery(system: System, url: str, key: str) -> None:
    """Resume delivery after a deployment. Raises `StepError`."""

    async def attempt() -> str:
        response = await system.call("POST", f"{url}/v1/resume", key, None)
        return "" if response.status == 200 else f"POST {url}/v1/resume returned {response.status}"

    await until("Resume", attempt, system)


def key_path(environ: Mapping[str, str], system: System) -> Path:
    """Return where the first client's key is stored."""
    return system.folder / ".azure" / environ.get("AZURE_ENV_NAME", "default") / "relay-client-key"


async def send_test_mail(system: System, url: str, key: str, *, sender: str, recipient: str) -> str:
    """Send one message and poll its status. Return its last state: `sent`, or `held` (Relay sends it later).

    Raises `StepError` if the message is refused or ends in another state.
    """
    mail = {
        "from": sender,
        "to": recipient,
        "subject": "Relay works",
        "text": f"Relay at {url} sent this message after its deployment.",
        "expires_in_seconds": 3600,
    }
    accepted = await system.call("POST", f"{url}/v1/messages", key, mail)
    if accepted.status != 202:
        raise StepError(
            f"The test mail was refused: {accepted.status} {json.dumps(accepted.body)}. "
            "Check RELAY_TEST_SENDER and RELAY_TEST_RECIPIENT (`azd env set`), then run `azd deploy` again."
        )
    status_url = f"{url}/v1/messages/{accepted.body['id']}"
    state = "queued"

    async def poll() -> str:
        nonlocal state
        status = await system.call("GET", status_url, key, None)
        if status.status != 200:
            return f"GET {status_url} returned {status.status}"
        state = str(status.body["state"])
        return "" if state in ("sent", "held", *FAILED) else f"state {state}"

    await until("Test mail", poll, system)
    if state in FAILED:
        raise StepError(f"The test mail is {state}. For the cause: GET {status_url}")
    return state


def required(environ: Mapping[str, str], name: str, command: str) -> str:
    """Return a value of the azd environment. Raises `StepError` naming the command that sets it."""
    value = environ.get(name, "").rstrip("/")
    if not value:
        raise StepError(f"{name} is missing. Run `{command}` first.")
    return value
