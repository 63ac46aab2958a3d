"""Read the resources that audited calls change. The log keeps only a digest, which shows whether a resource changed.

Each function returns the stored resource, or None. It may raise the errors of the handler's own read.
"""

from typing import Any

import msgspec

from relay.api.services import Call
from relay.clients.keys import Role
from relay.clients.registry import Client
from relay.clients.suppressions.rows import ALL, topic_scope
from relay.routes.hold_rows import Hold


async def client(call: Call) -> Any:
    """Read a client with its policy and the digests of its keys."""
    return await call.services.clients.get(call.values["name"])


async def client_hold(call: Call) -> Any:
    """Read since when a client is held, and when it was last released."""
    owner = await call.services.clients.get(call.values["name"])
    brake = (await call.services.brakes.all(fresh=True)).get(owner.id)
    return None if brake is None else (brake.held_at, brake.released_at)


async def template(call: Call) -> Any:
    """Read the newest version of a template."""
    return await call.services.templates.get(call.values["name"].partition("@")[0])


async def webhook(call: Call) -> Any:
    """Read a webhook of the caller."""
    return (await call.services.webhooks.subscriptions.get(call.client.id, call.values["id"])).definition


async def webhook_of_client(call: Call) -> Any:
    """Read a webhook of another client."""
    owner = await call.services.clients.get(call.values["name"])
    return (await call.services.webhooks.subscriptions.get(owner.id, call.values["id"])).definition


async def suppression(call: Call) -> Any:
    """Read the entry of the list that the call changes."""
    scope, named = call.client.id, call.request.query.get("client")
    if call.client.role is Role.OPERATOR:
        scope = (await call.services.clients.get(named)).id if named else ALL
    return await call.services.suppressions.get(scope, call.values["email"])


async def topic(call: Call) -> Any:
    """Read a topic."""
    return await call.services.topics.get((await owner_of(call)).id, call.values["name"])


async def topic_suppression(call: Call) -> Any:
    """Read the entry of a topic's list that the call changes."""
    scope = topic_scope((await owner_of(call)).id, call.values["name"])
    return await call.services.suppressions.get(scope, call.values["email"])


async def owner_of(call: Call) -> Client:
    """Return the client whose topics a call is about: the caller, or the one that an operator names."""
    named = call.request.query.get("client")
    is_other = named is not None and call.client.role is Role.OPERATOR
    return await call.services.clients.get(named or "") if is_other else call.client


async def route(call: Call) -> Any:
    """Read the holds of a route."""
    return [hold for hold in await _holds(call) if hold.route == call.values["name"]]


async def routes(call: Call) -> Any:
    """Read the holds of all routes."""
    return await _holds(call)


async def _holds(call: Call) -> list[Hold]:
    """Read the holds without the ETags of their rows, which every write changes."""
    holds = await call.services.holds.all(fresh=True)
    return [msgspec.structs.replace(hold, etag="") for _, hold in sorted(holds.items())]


async def message(call: Call) -> Any:
    """Read the state of a message with its parts and attempts, without its content."""
    history = await call.services.status_reader.history(call.client, call.values["id"])
    history.check_readable()
    return history.status


async def upload(call: Call) -> Any:
    """Read the row of an upload, without the file."""
    return await call.services.uploads.get(call.client.id, call.values["id"])


async def scheduled_send(call: Call) -> Any:
    """Read the stop of a SendGrid batch."""
    return await call.services.send_groups.stop_of(call.client.id, call.values["batch_id"])
