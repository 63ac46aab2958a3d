"""Manage clients, their policies and their keys. A key's text is shown once, when it is created."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import cast

import msgspec

from relay import __version__
from relay.api.http import Response, json_response
from relay.api.operator.client_policy import read_policy
from relay.api.problems import Problems
from relay.api.reading.body import read_request
from relay.api.services import Call
from relay.api.shapes.clients import (
    ClientChange,
    ClientHoldView,
    ClientListView,
    ClientRequest,
    ClientView,
    KeyRequest,
    KeyView,
    NewClientView,
    NewKeyView,
    PolicyView,
    SignedInView,
)
from relay.clients.keys import Role, key_id_of
from relay.clients.policy import Policy
from relay.clients.registry import NAME, Client
from relay.core.errors import AlreadyExists, Refusal
from relay.routes.brakes import Brake


async def me(call: Call) -> Response:
    """Handle GET /v1/me."""
    role = call.client.role
    able = [operation.name for operation in call.operations if operation.roles is not None and operation.may_call(role)]
    view = SignedInView(
        name=call.client.name,
        role=role,
        operations=able,
        policy=_policy_view(call.client.policy),
        version=__version__,
    )
    return json_response(view)


async def index(call: Call) -> Response:
    """Handle GET /v1/clients: read rows and last uses from storage, not from a cache."""
    clients = await call.services.clients.all(older_than_seconds=0)
    used = await call.services.clients.last_uses()
    brakes = await call.services.brakes.all(fresh=True)
    views = [_view(client, used, brakes.get(client.id)) for _, client in sorted(clients.items())]
    return json_response(ClientListView(value=views))


async def show(call: Call) -> Response:
    """Handle GET /v1/clients/{name}."""
    client = await call.services.clients.get(call.values["name"])
    return json_response(await _shown(call, client))


async def create(call: Call) -> Response:
    """Handle POST /v1/clients: create a client with its first key."""
    value = read_request(call.request, ClientRequest)
    problems = Problems()
    if not NAME.fullmatch(value.name):
        problems.add("invalid_value", "name", "A client's name is 1 to 63 lower-case letters, digits and dashes.")
    policy = read_policy(value.policy, Policy(), call.services.settings, problems)
    problems.raise_any()
    try:
        key = await call.services.clients.create(
            value.name,
            role=Role(value.role or Role.CLIENT),
            policy=policy,
            principals=value.principals or (),
        )
    except AlreadyExists as error:
        raise Refusal(409, "client_exists", "A client with this name already exists.", target="name") from error
    client = _view(await call.services.clients.get(value.name), {}, None)
    body = NewClientView(**msgspec.structs.asdict(client), key=key)
    return json_response(body, 201, {"Location": f"{call.base_url}/v1/clients/{value.name}"})


async def change(call: Call) -> Response:
    """Handle PATCH /v1/clients/{name}: change only the members that are present."""
    value = read_request(call.request, ClientChange)
    problems = Problems()
    read_policy(value.policy, Policy(), call.services.settings, problems)
    problems.raise_any()

    def changed(client: Client) -> Client:
        disabled = value.is_disabled
        return msgspec.structs.replace(
            client,
            role=Role(value.role or client.role),
            policy=read_policy(value.policy, client.policy, call.services.settings, problems),
            principals=tuple(value.principals) if value.principals is not None else client.principals,
            is_disabled=client.is_disabled if disabled is None else disabled,
        )

    return json_response(await _shown(call, await call.services.clients.change(call.values["name"], changed)))


async def release(call: Call) -> Response:
    """Handle POST /v1/clients/{name}/release: end the hold of the client's lanes, and re-enqueue its waiting messages."""
    client = await call.services.clients.get(call.values["name"])
    await call.services.brakes.release(client.id)
    await call.services.recovery.wake()
    return json_response(await _shown(call, client))


async def add_key(call: Call) -> Response:
    """Handle POST /v1/clients/{name}/keys."""
    value = read_request(call.request, KeyRequest, is_optional=True)
    seconds, role = value.expires_in_seconds, None if value.role is None else Role(value.role)
    expires_at = None if seconds is None else call.services.clock() + timedelta(seconds=seconds)
    try:
        key = await call.services.clients.add_key(call.values["name"], expires_at=expires_at, role=role)
    except ValueError as error:
        text = "Two keys are already active for this role. Remove the one that is no longer used."
        raise Refusal(409, "too_many_keys", text) from error
    return json_response(NewKeyView(id=cast(str, key_id_of(key)), role=role, key=key, expires_at=expires_at), 201)


async def remove_key(call: Call) -> Response:
    """Handle DELETE /v1/clients/{name}/keys/{id}. Other processes refuse the key within 30 seconds."""
    await call.services.clients.remove_key(call.values["name"], call.values["id"])
    return Response(status=204)


async def delete(call: Call) -> Response:
    """Handle DELETE /v1/clients/{name}: delete it with its webhooks, unused uploads and suppressions. Its messages stay."""
    if call.values["name"] == call.client.name:
        raise Refusal(409, "own_client", "A client cannot delete itself. Ask another operator to delete it.")
    await call.services.deleted_clients.delete(call.values["name"])
    return Response(status=204)


def held_views(brakes: Iterable[Brake]) -> list[ClientHoldView]:
    """Show the clients that are held."""
    return [
        ClientHoldView(
            client=brake.client,
            lanes=brake.lanes,
            code=brake.figures.cause,
            held_at=brake.held_at,
            since=brake.figures.since,
            sent=brake.figures.sent,
            bounced=brake.figures.bounced,
            complained=brake.figures.complained,
        )
        for brake in brakes
        if brake.held_at is not None and brake.figures is not None
    ]


async def _shown(call: Call, client: Client) -> ClientView:
    """Show a client with the last uses of its keys and its hold."""
    brakes = await call.services.brakes.all(fresh=True)
    return _view(client, await call.services.clients.last_uses(), brakes.get(client.id))


def _view(client: Client, used: Mapping[str, datetime], brake: Brake | None) -> ClientView:
    """Show a client without its secrets. `used` maps the ids of keys to their last uses."""
    return ClientView(
        name=client.name,
        role=client.role,
        is_disabled=client.is_disabled,
        principals=client.principals,
        policy=_policy_view(client.policy),
        keys=[
            KeyView(
                id=key.id,
                role=key.role,
                created_at=key.created_at,
                expires_at=key.expires_at,
                last_used_at=used.get(key.id),
            )
            for key in client.keys
        ],
        hold=next(iter(held_views([brake] if brake is not None else [])), None),
    )


def _policy_view(policy: Policy) -> PolicyView:
    return msgspec.convert(policy, PolicyView, from_attributes=True)
