"""The steps after a deployment, each of which says what it waits for and gives up with a sentence that helps.

A new role assignment takes up to ten minutes to reach every server, and nothing tells when it has: the only way to know
is to try. So each step is a question that is asked again until the answer is yes.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from hooks.world import StepError, World, read_key, write_key
from relay.bootstrap import Relay
from relay.clients.registry import Role
from relay.core.errors import RelayError, Unavailable

FAILED = ("failed", "expired", "cancelled", "unknown")
"""States in which the test mail has ended without being sent."""
_PLACES = {"blob": "RELAY_STORAGE_BLOB_URL", "queue": "RELAY_STORAGE_QUEUE_URL", "table": "RELAY_STORAGE_TABLE_URL"}


async def until(what: str, attempt: Callable[[], Awaitable[str]], world: World) -> None:
    """Repeat `attempt` until it returns no reason to wait. Raises `StepError` with the last reason."""
    reason = ""
    for number in range(world.tries):
        if number:
            await world.sleep(world.pause_seconds)
        before, reason = reason, await attempt()
        if not reason:
            world.tell(f"{what}: done.")
            return
        if reason != before:
            world.tell(f"{what}: waiting ({reason}).")
    raise StepError(f"{what}: gave up after {world.tries} tries. {reason}")


def storage_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings by which this computer reaches the deployed storage, as whoever is signed in here.

    Raises `StepError` when the outputs of the deployment are not there.
    """
    missing = [name for name in _PLACES.values() if not environ.get(name)]
    if missing:
        raise StepError(
            f"These outputs of the deployment are missing: {', '.join(missing)}. Run `azd provision` first."
        )
    services = {f"AzureWebJobsStorage__{service}ServiceUri": environ[name] for service, name in _PLACES.items()}
    # The queues of the operator's own lanes are made too; nothing else of the app's settings matters here.
    return {**services, "RELAY_LANES": environ.get("RELAY_LANES", "")}


def is_closed_to_us(environ: Mapping[str, str]) -> bool:
    """Whether storage takes calls from the virtual network alone, where this computer is not."""
    return environ.get("VNET_ENABLED", "").lower() == "true" and not environ.get("ADMIN_IP_ADDRESS")


async def create_storage(relay: Relay) -> str:
    """Make sure that every queue, table and container is there; why it cannot be done yet, or nothing."""
    try:
        await relay.create_storage()
    except Unavailable as error:
        return str(error)
    return ""


async def ask_ready(world: World, url: str) -> str:
    """Whether the deployed app reaches its storage with its own identity; why not yet, or nothing."""
    answer = await world.ask("GET", f"{url}/v1/ready", "", None)
    if answer.status == 200:
        return ""
    if answer.status == 0:
        return "the app does not answer"
    return f"the app answers {answer.status} {json.dumps(answer.body)}"


async def make_first_key(relay: Relay, path: Path, *, name: str = "first") -> str:
    """The key of the first client: a new one, written down for its owner alone, or the one written down before.

    Empty when the client is there and its key is not: whoever made it has it. Raises `StepError`.
    """
    try:
        key = await relay.clients.ensure(name, role=Role.OPERATOR)
    except RelayError as error:
        raise StepError(f"The first client could not be made: {error}") from error
    if key is None:
        return read_key(path)
    write_key(path, key)
    return key


async def send_test_mail(world: World, url: str, key: str, *, sender: str, recipient: str) -> str:
    """Send one mail and follow it; its last state. `held` is no failure: Relay goes on by itself.

    Raises `StepError` when the mail is refused, or ends otherwise than `sent`.
    """
    mail = {
        "from": sender,
        "to": recipient,
        "subject": "Relay works",
        "text": f"This mail was sent by Relay at {url} after its deployment.",
        "expires_in_seconds": 3600,
    }
    answer = await world.ask("POST", f"{url}/v1/messages", key, mail)
    if answer.status != 202:
        raise StepError(f"The test mail was refused: {answer.status} {json.dumps(answer.body)}")
    story_url = f"{url}/v1/messages/{answer.body['id']}"
    state = "queued"

    async def look() -> str:
        nonlocal state
        story = await world.ask("GET", story_url, key, None)
        if story.status != 200:
            return f"its status cannot be read: {story.status}"
        state = str(story.body["state"])
        return "" if state in ("sent", "held", *FAILED) else f"it is {state}"

    await until("The test mail", look, world)
    if state in FAILED:
        raise StepError(f"The test mail is {state}. Its story: GET {story_url}")
    return state


def told_of(environ: Mapping[str, str], name: str, command: str) -> str:
    """A value that the deployment or the operator gave. Raises `StepError` that names the command to have it."""
    value = environ.get(name, "").rstrip("/")
    if not value:
        raise StepError(f"{name} is missing. Run `{command}` first.")
    return value
