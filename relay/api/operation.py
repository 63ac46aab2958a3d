"""Describe the operations of the API: one row has the route of a request, the roles that may call it, and its documentation.

Rows are data. They name handlers and shapes by `module:name` within `relay.api`, so that a cold start imports only those of
the operation that is called.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from importlib import import_module
from typing import Any, Literal

import msgspec

from relay.api.http import Response
from relay.api.router import Router, segments
from relay.clients.keys import Role
from relay.clients.registry import Client
from relay.clients.roles import OPERATORS, SENDERS
from relay.core.errors import Refusal

JSON = "application/json"
OF_BODIES = (400, 411, 413, 415)
"""Refusals that any operation with a JSON body may give."""

type Handler = Callable[..., Awaitable[Response]]


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A value in the path, query or headers of a request; `schema` is JSON Schema.

    `not_found` is the error code of the 404 for a path value that does not match the schema's pattern; empty: no such check.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    place: Literal["path", "query", "header"] = "query"
    is_required: bool = False
    not_found: str = ""


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a request: `shape` names a struct; `schema` is JSON Schema if there is no struct.

    `others` are further media types, as bytes or text. `other_example` is an example of the first of them.
    """

    shape: str = ""
    schema: Mapping[str, Any] | None = None
    others: tuple[str, ...] = ()
    is_required: bool = True
    example: Mapping[str, Any] | None = None
    other_example: str = ""


REASON = Parameter(
    name="X-Relay-Reason",
    description="The reason, for the audit log; the first 256 characters are kept.",
    schema={"type": "string"},
    place="header",
)
"""A header that every audited operation takes."""


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """An operation whose calls the audit log records. A record names the values of the path, and these members of the body.

    `resource` names the function that reads the changed resource, for the digests before and after.
    """

    members: tuple[str, ...] = ()
    resource: str = ""


class Unaudited(StrEnum):
    """The reason for which the audit log does not record the calls of an operation."""

    READS = "It changes nothing."
    SUBMITS = "The journal records what was submitted."
    REPORTS = "Providers and mail systems report events, which the journal records."


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of the API, at an `endpoint` such as `GET /v1/messages/{id}`.

    `roles` are the roles that may call it; None: no key is needed.
    `cost` is the number of requests that a call counts as in the client's rate (`relay.clients.request_rate`).
    `audit` says whether the audit log records its calls; every operation that is not a GET has it.
    `responses` maps a status to a struct (with `[]`: a list of it), a media type, or "" for no body. `errors` are the statuses of
    the operation's own refusals.
    """

    name: str
    endpoint: str
    handler: str | Handler
    roles: frozenset[Role] | None = SENDERS
    cost: int = 1
    audit: Audit | Unaudited | None = None
    summary: str = ""
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    responses: Mapping[int, str] = {}
    errors: tuple[int, ...] = ()

    @property
    def method(self) -> str:
        return self.endpoint.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.endpoint.partition(" ")[2]

    def load(self) -> Handler:
        """Return the handler."""
        return loaded(self.handler) if isinstance(self.handler, str) else self.handler

    @property
    def is_idempotent_delete(self) -> bool:
        """Whether deleting something that does not exist succeeds."""
        return self.method == "DELETE" and 404 not in self.errors

    def early_response(self, caller: Client | None, values: Mapping[str, str]) -> Response | None:
        """Return the response of a call that needs no handler, or None. Raises `Refusal` for a wrong role (403) or path (404)."""
        if self.roles is not None and (caller is None or not self.may_call(caller.role)):
            raise self._role_refusal(caller)
        problem = self._path_problem(values)
        if problem is None:
            return None
        if self.is_idempotent_delete:
            return Response(status=204)
        raise problem

    def may_call(self, role: Role) -> bool:
        """Return whether a caller of this role may call it."""
        return self.roles is None or role in self.roles

    def _role_refusal(self, caller: Client | None) -> Refusal:
        """Return the refusal of a role. Clients get `operators_only`, which programs know, even if more roles may call by now."""
        if self.roles == OPERATORS:
            return Refusal(403, "operators_only", "Only operators may call this operation.")
        role = Role.CLIENT if caller is None else caller.role
        able = ", ".join(each for each in Role if self.may_call(each))
        text = f"The role `{role}` may not call this operation. Use a key with one of these roles: {able}."
        return Refusal(403, "operators_only" if role is Role.CLIENT else "role_not_allowed", text)

    def fits_path(self, values: Mapping[str, str]) -> bool:
        """Return whether every value of the path matches its documented pattern."""
        given = (parameter for parameter in self.parameters if parameter.place == "path")
        return all(re.fullmatch(each.schema["pattern"], values[each.name]) for each in given)

    def _path_problem(self, values: Mapping[str, str]) -> Refusal | None:
        """Return the refusal (404) for a path value that cannot name anything. None if a signature is checked instead."""
        for parameter in self.parameters if values and self.roles is not None else ():
            if parameter.not_found and not re.fullmatch(parameter.schema["pattern"], values[parameter.name]):
                from relay.api.errors import CODES

                text = (
                    f"{CODES[parameter.not_found]} A valid `{parameter.name}` matches `{parameter.schema['pattern']}`."
                )
                return Refusal(404, parameter.not_found, text)
        return None


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """A group of operations.

    `error` is the struct of their refusals, and `refused` names the function that writes one, if it is not Relay's own. The
    OpenAPI document leaves out a tag without a description: pages for people.
    """

    name: str
    description: str = ""
    operations: tuple[Operation, ...]
    refused: str = ""
    error: str = "errors:ErrorView"


class Operations:
    """All operations. The module of a tag is imported when a path first needs it.

    `modules` are keyed by the first segment of a path, or the first two under `/v1`; each has a `TAG`. A test may pass a tag.
    """

    def __init__(self, modules: Mapping[str, str | Tag]) -> None:
        self._modules = modules
        self._routers: dict[str, tuple[Tag, Router[Operation]]] = {}

    def find(self, path: str) -> tuple[Tag, Router[Operation]] | None:
        """Return the tag that may have a path, and its router; None if no tag does."""
        prefix = prefix_of(path)
        if prefix not in self._routers:
            if prefix not in self._modules:
                return None
            tag = _tag(self._modules[prefix])
            self._routers[prefix] = tag, _router(tag.operations)
        return self._routers[prefix]

    def tags(self) -> Sequence[Tag]:
        """Return every tag of the document. Imports all modules."""
        modules = list(self._modules.values())
        tags = [_tag(module) for number, module in enumerate(modules) if module not in modules[:number]]
        return [tag for tag in tags if tag.description]

    def __iter__(self) -> Iterator[Operation]:
        """Yield every operation of the document. Imports all modules."""
        return (operation for tag in self.tags() for operation in tag.operations)


def prefix_of(path: str) -> str:
    """Return the beginning of a path that determines its tag."""
    found = segments(path)[:2]
    return "/" + "/".join(found if found[:1] == ["v1"] else found[:1])


@cache
def loaded(reference: str) -> Any:
    """Import the object that `module:name` within `relay.api` names."""
    module, _, name = reference.partition(":")
    return getattr(import_module(f"relay.api.{module}"), name)


def _tag(module: str | Tag) -> Tag:
    if isinstance(module, Tag):
        return module
    tag: Tag = import_module(module).TAG
    return tag


def _router(operations: Sequence[Operation]) -> Router[Operation]:
    router: Router[Operation] = Router()
    for operation in operations:
        router.add(operation.method, operation.path, operation)
    return router
