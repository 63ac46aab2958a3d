"""Valid and invalid requests generated from the OpenAPI document: every response is documented, and none is a 500.

Every operation meets an application of its own, so that none is left out, not even those that delete the caller. Half of the
paths name what is there. Nothing here depends on chance or on the time of day, unless a deep search is asked for.
"""

import asyncio
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy, one_of
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.openapi import from_dict
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from relay.api.http import Request
from relay.api.openapi.document import document
from relay.api.operation import JSON, Operation
from relay.api.operations import OPERATIONS
from relay.api.router import Router
from relay.core.errors import Refusal
from relay.events.acs import KEY_HEADER
from tests import depth
from tests.api.harness import BASE, Harness, message

EXAMPLES = depth.examples(8)
"""Requests of each kind for an operation; more find more, and take longer."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SECRET = "secret"
SETTINGS = {"RELAY_EVENT_GRID_SECRET": "setting:GRID", "GRID": SECRET}
UNKNOWN_ONLY = frozenset(("TestWebhook",))
"""With what is there, this would post to a foreign address."""


class Served:
    """An application as a WSGI server shows it, with things to be found in it: `known` by the beginnings of paths."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self.harness = runner.run(Harness(SETTINGS).start())
        self.known = runner.run(self._filled())
        self.signed = runner.run(self._links())

    async def _filled(self) -> dict[str, dict[str, str]]:
        relay = self.harness
        sent = await relay.send(attachments=[{"name": "a.txt", "content": "YQ=="}], html="<p>Hello</p>")
        await relay.deliver()
        [mail] = (await relay.call("GET", "/v1/inbox", client="boss")).json["value"]
        upload = await relay.call("POST", "/v1/attachments?name=a.txt&parts=true", client="boss")
        hook = await relay.call("POST", "/v1/webhooks", json={"url": "https://example.com/mail"}, client="boss")
        group = await relay.call("POST", "/v3/mail/batch", client="boss")
        template = {"subject": "Hello", "html": "<p>{{ name }}</p>"}
        assert (await relay.call("PUT", "/v1/templates/hello", json=template, client="boss")).status == 201
        assert (
            await relay.call("POST", "/v1/suppressions", json={"email": "a@example.com"}, client="boss")
        ).status == 201
        assert (await relay.call("PUT", "/v1/topics/news", json={}, client="boss")).status == 201
        [route] = relay.relay.settings.routes
        return {
            "/v1/messages/": {"id": sent, "number": "0"},
            "/v1/inbox/": {"name": mail["name"]},
            "/v1/attachments/": {"id": upload.json["id"], "number": "1"},
            "/v1/webhooks/": {"id": hook.json["id"]},
            "/v1/templates/": {"name": "hello"},
            "/v1/suppressions/": {"email": "a@example.com"},
            "/v1/topics/": {"name": "news", "email": "a@example.com"},
            "/v1/routes/": {"name": route},
            "/v1/clients/": {"name": "app", "id": "none"},
            "/v1/timers/": {"name": "health_log"},
            "/v3/": {"batch_id": group.json["batch_id"]},
        }

    async def _links(self) -> dict[str, str]:
        """Addresses with a signature, by the operations they open."""
        relay, known = self.harness, self.known
        content = await relay.call("GET", f"/v1/messages/{known['/v1/messages/']['id']}/content", client="boss")
        mail = await relay.call("GET", f"/v1/inbox/{known['/v1/inbox/']['name']}", client="boss")
        preview = await relay.call(
            "POST", "/v1/templates/hello/preview", json={"variables": {"name": "Ada"}}, client="boss"
        )
        sent = await relay.call("POST", "/v1/messages?wait=sent", json=message(), client="boss")
        return {
            "ShowMessageHtml": content.json["html_url"],
            "ShowInboxHtml": mail.json["html_url"],
            "ShowTemplateHtml": preview.json["html_url"],
            "WaitForMessage": sent.headers["location"],
        }

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """ApiResponse one request (PEP 3333)."""
        path, query = environ["REQUEST_URI"].partition("?")[0], environ["QUERY_STRING"]
        headers = {name[5:].replace("_", "-").lower(): text for name, text in environ.items() if name[:5] == "HTTP_"}
        headers |= {name.replace("_", "-").lower(): environ[name] for name in ("CONTENT_TYPE",) if environ.get(name)}
        request = Request(
            method=environ["REQUEST_METHOD"],
            path=path,
            url=f"{BASE}{path}?{query}",
            headers=headers | {"authorization": f"Bearer {self.harness.keys['boss']}", KEY_HEADER: SECRET},
            query=dict(parse_qsl(query)),
            body=environ["wsgi.input"].read(),
        )
        response = self._runner.run(self.harness.relay.api.handle(request))
        start_response(f"{response.status} -", list(response.headers.items()))
        return [response.body]

    def known_in(self, operation: Operation) -> dict[str, str]:
        """Values for an operation's path that lead to something; empty for a path that has none."""
        found = next((values for path, values in self.known.items() if operation.path.startswith(path)), {})
        wanted = re.findall(r"\{(\w+)\}", operation.path) if operation.name not in UNKNOWN_ONLY else ()
        return {name: found[name] for name in wanted}

    def close(self) -> None:
        """Close what the application holds open."""
        self._runner.run(self.harness.relay.close())


@pytest.fixture
def served() -> Iterator[Served]:
    """An application of the test's own."""
    with asyncio.Runner() as runner:
        application = Served(runner)
        yield application
        application.close()


@schemathesis.serializer("message/rfc822", "text/csv")
def as_text(context: Any, value: Any) -> bytes:
    """How these bodies are written: as they are."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def schema() -> OpenApiSchema:
    """The document as the fuzzer reads it."""
    return from_dict(document(BASE, OPERATIONS.tags()))


def requests(
    described: APIOperation[Any, Any, Any, Any], mode: GenerationMode, operation: Operation, served: Served
) -> SearchStrategy[Any]:
    """Requests of the document alone, such whose path leads to something, and such whose body is the example."""
    known, body = served.known_in(operation), operation.body
    path: dict[str, Any] = {"path_parameters": known} if known else {}
    choices = [{}, path]
    if operation.name in served.signed:
        address = urlsplit(served.signed[operation.name])
        name = re.findall(r"\{(\w+)\}", operation.path)[0]
        choices.append({"path_parameters": {name: address.path.split("/")[3]}, "query": dict(parse_qsl(address.query))})
    if body is not None and body.example is not None:
        choices.append({**path, "body": body.example, "media_type": JSON})
    if body is not None and body.other_example:
        choices.append({**path, "body": body.other_example, "media_type": body.others[0], "query": {}})
    return one_of([described.as_strategy(mode, **each) for each in choices]).filter(
        lambda case: leads_to(operation, case)
    )


@cache
def paths() -> Router[str]:
    """The paths of all operations, whatever their methods."""
    router = Router[str]()
    for operation in OPERATIONS:
        router.add("GET", operation.path, operation.path)
    return router


def leads_to(operation: Operation, case: Any) -> bool:
    """Whether a request is not one for a neighbor: `/v1/suppressions/export` is an operation, and no address `export`.

    Hypothesis takes texts from the code that is loaded, so that it meets such names sooner or later.
    """
    try:
        return paths().find("GET", case.formatted_path).target == operation.path
    except Refusal:
        # A request without a known path must get a documented response too.
        return True


@pytest.mark.parametrize("operation", list(OPERATIONS), ids=lambda operation: operation.name)
def test_generated_requests_get_documented_responses(
    operation: Operation, schema: OpenApiSchema, served: Served
) -> None:
    schema.app = served
    described = schema.find_operation_by_id(operation.name)
    can_be_wrong = described.body or described.query or described.headers or described.path_parameters
    for mode in GenerationMode if can_be_wrong else (GenerationMode.POSITIVE,):

        @settings(
            max_examples=EXAMPLES,
            derandomize=not depth.IS_DEEP,
            database=None,
            deadline=None,
            suppress_health_check=HealthCheck,
        )
        @given(case=requests(described, mode, operation, served))
        def check(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        check()
