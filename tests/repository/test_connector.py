"""connector/ matches the code and reaches the operations of the API."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from relay.acceptance.acceptance import Accepted
from relay.api.messages.send import accepted_view
from relay.api.messages.waiting import WaitGoal
from relay.api.operation import loaded
from relay.api.operations import OPERATIONS
from relay.clients.keys import Role
from relay.core.events import Answer, EventKind, EventSource, MessageEvent, RecordedEvent
from relay.core.model import Address, Attempt, MessageStatus, Part, State
from relay.core.shape.check import fits
from relay.events.webhooks.message_ends import ends_of
from relay.events.webhooks.payload import post_of, post_of_end
from relay.events.webhooks.subscriptions import Definition, Subscription
from relay.journal.record_rows import Record
from scripts.connector.actions import ACTIONS
from scripts.connector.document import Target
from scripts.connector.files import FOLDER, contents
from tests.doubles import batch_id, entry_of, message_of, submission_of
from tests.repository.connector_reading import CALLS, DEFINITION, PROPERTIES, body_of, sample, undescribed_fields

ROUTED = {operation.name: operation for operation in OPERATIONS}


# ── the files ──


@pytest.mark.parametrize("name", contents(Target()))
def test_generated_files_are_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == contents(Target())[name], "run `make docs`"


def test_custom_connector_has_the_given_host_and_applications() -> None:
    made = contents(Target(host="relay.contoso.com", tenant="a-tenant", api="an-api", client="a-client"))
    assert json.loads(made["apiDefinition.swagger.json"])["host"] == "relay.contoso.com"
    text = "".join(made.values())
    assert "example.com" not in text.replace("@example.com", "")
    assert '"clientId": "a-client"' in text
    assert '"value": "a-tenant"' in text
    assert text.count('"api://an-api"') == 2


def test_keys_only_connector_asks_for_a_key_only() -> None:
    text = contents(Target(takes_keys_only=True))["apiProperties.json"]
    (way,) = json.loads(text)["properties"]["connectionParameterSets"]["values"]
    assert list(way["parameters"]) == ["api_key"]


# ── paths ──


def test_every_path_is_an_operations_path_or_routed_to_one() -> None:
    led = {
        name: (policy["parameters"]["x-ms-apimTemplateParameter.newPath"], policy["parameters"])
        for policy in PROPERTIES["policyTemplateInstances"]
        if policy["templateId"] == "routerequesttoendpoint"
        for name in policy["parameters"]["x-ms-apimTemplate-operationName"]
    }
    assert len(CALLS) == len(ACTIONS)
    for action in ACTIONS:
        path, method, _ = CALLS[action.name]
        operation = ROUTED[action.operation]
        assert operation.may_call(Role.CLIENT), "a connector's user has no operator's key"
        assert method.upper() == operation.method
        assert led[action.name][0] if action.path else path == operation.path
        if action.path:
            assert led[action.name][0] == operation.path
            assert led[action.name][1]["x-ms-apimTemplateParameter.httpMethod"] == operation.method
    assert sorted(led) == sorted(action.name for action in ACTIONS if action.path)


@pytest.mark.parametrize("name", [action.name for action in ACTIONS if action.fields])
def test_api_accepts_a_sample_of_each_definition(name: str) -> None:
    action = next(action for action in ACTIONS if action.name == name)
    body = ROUTED[action.operation].body
    assert body is not None
    assert fits(sample(body_of(name)), loaded(body.shape))


def test_waiting_action_offers_every_wait_goal() -> None:
    (prefer,) = (each for each in CALLS["SendEmailAndWait"][2]["parameters"] if each["name"] == "Prefer")
    assert prefer["enum"] == [f"wait={goal}" for goal in WaitGoal]
    assert prefer["default"] in prefer["enum"]


def test_key_is_sent_in_the_defined_header() -> None:
    header = DEFINITION["securityDefinitions"]["api_key"]["name"]
    (policy,) = (each for each in PROPERTIES["policyTemplateInstances"] if each["templateId"] == "setheader")
    assert policy["parameters"]["x-ms-apimTemplateParameter.name"] == header
    parameters = {
        name: each
        for ways in PROPERTIES["connectionParameterSets"]["values"]
        for name, each in ways["parameters"].items()
    }
    assert f"'{next(iter(parameters))}'" in policy["parameters"]["x-ms-apimTemplateParameter.value"]
    assert {name: each["type"] for name, each in parameters.items()} == {
        "api_key": "securestring",
        "token": "oauthSetting",
    }


# ── responses ──


def test_acceptance_has_no_undescribed_field() -> None:
    suppressed = {0: "bounced"}
    recipients = (Address(email="ada@example.com"),)
    accepted = Accepted(id="msg_1", state=State.QUEUED, suppressed=suppressed, recipients=recipients)
    body = msgspec.to_builtins(accepted_view(accepted))
    assert "suppressed" in body
    assert list(undescribed_fields(body, DEFINITION["definitions"]["Accepted"])) == []


def test_event_has_no_undescribed_field() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    event = RecordedEvent(
        key="k",
        index=0,
        kind=EventKind.BOUNCED,
        at=at,
        recipient="ada@example.com",
        code="5.1.1",
        bounce_class="address",
        reply="550 no such user",
        provider="sendgrid",
        attempt=1,
        likely="person",
        answer=Answer(
            sender="ada@example.com",
            subject="Re: order",
            message_id="<a@example.com>",
            text="Thanks.",
            is_truncated=True,
            attachments=("photo.jpg",),
        ),
    )
    noted = MessageEvent(
        message="msg_1",
        client="shop",
        client_id="c1",
        is_ours=True,
        source=EventSource.PROVIDER,
        event=event,
        tags=("order",),
        metadata={"order": "4711"},
    )
    definition = Definition(url="https://example.com", secret="whsec_x", created_at=at)
    post = post_of(noted, Subscription(id="wh_1", client_id="c1", definition=definition), "https://relay.example.com")
    schema = DEFINITION["definitions"]["MailEvent"]
    body = json.loads(post.body)
    assert list(undescribed_fields(body, schema)) == []
    assert set(body["data"]) | {"recipients", "route"} == set(schema["properties"]["data"]["properties"])


def test_end_of_a_message_has_no_undescribed_field() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    last = Attempt(number=1, route="main", provider="acs", at=at, outcome="rejected", code="refused", reply="550 no")
    part = Part(route="main", state=State.FAILED, attempt=1, attempts=(last,), code="refused")
    batch = batch_id()
    content = entry_of(submission_of(message_of(tags=("order",), metadata={"order": "4711"})), batch=batch)
    record = Record(batch=batch, lane="bulk", content=content, statuses=(MessageStatus(parts=(part,)),), etag="e")
    [end] = ends_of(record, [(0, part)], at)
    definition = Definition(url="https://example.com", secret="whsec_x", created_at=at)
    post = post_of_end(end, Subscription(id="wh_1", client_id="c1", definition=definition), "https://relay.example.com")
    body = json.loads(post.body)
    assert {"recipients", "route"} <= set(body["data"])
    assert list(undescribed_fields(body, DEFINITION["definitions"]["MailEvent"])) == []


@pytest.mark.parametrize("name", CALLS)
def test_every_operation_has_success_and_error_responses(name: str) -> None:
    responses = CALLS[name][2]["responses"]
    assert responses["default"]["schema"] == {"$ref": "#/definitions/Error"}
    good = {status: each for status, each in responses.items() if status != "default"}
    assert good
    for status, each in good.items():
        assert ("schema" in each) == (status != "204")
