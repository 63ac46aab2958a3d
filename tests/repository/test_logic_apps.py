"""The sample workflows of docs/logic-apps hold together, and what they send is what the API takes."""

import json
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.api.http import Request
from relay.api.messages.waiting import wish_of
from relay.api.operation import Operation
from relay.api.operations import OPERATIONS
from relay.api.router import Router
from relay.api.shapes.requests import MessageRequest
from relay.api.shapes.webhooks import CallbackRemoval, WebhookRequest
from relay.core.events import EventKind
from relay.core.shape.check import fits

FOLDER = Path(__file__).parents[2] / "docs/logic-apps"
WORKFLOWS = sorted(path.stem for path in FOLDER.glob("*.json"))
RUN_AFTER = {"Succeeded", "Failed", "Skipped", "TimedOut"}
USED = {
    "send": {"SendMessage"},
    "send-and-wait": {"SendMessage"},
    "on-bounce": {"CreateWebhook", "RemoveCallback", "GetMessage", "SendMessage"},
}
"""The operations that each sample calls."""


def workflow(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def expressions(part: Any) -> Iterator[str]:
    """Every expression of a workflow: the texts that begin with `@` or have `@{`."""
    if isinstance(part, str):
        if part.startswith("@") or "@{" in part:
            yield part
    elif isinstance(part, dict):
        for each in part.values():
            yield from expressions(each)
    elif isinstance(part, list):
        for each in part:
            yield from expressions(each)


def calls(definition: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every HTTP request that a workflow makes, those of its trigger among them."""
    for action in definition["actions"].values():
        if action["type"] == "Http":
            yield action["inputs"]
    for trigger in definition["triggers"].values():
        if trigger["type"] == "HttpWebhook":
            yield trigger["inputs"]["subscribe"]
            yield trigger["inputs"]["unsubscribe"]


def operation_of(call: dict[str, Any]) -> str:
    """The operation of the API that a request reaches."""
    router: Router[Operation] = Router()
    for operation in OPERATIONS:
        router.add(operation.method, operation.path, operation)
    base, path = call["uri"].split("}", 1)
    assert base == "@{parameters('relayUrl')"
    return router.find(call["method"], re.sub(r"@\{[^}]*\}", "msg_x", path)).target.name


def test_samples_are_the_three_known_ones() -> None:
    assert set(WORKFLOWS) == USED.keys()


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflow_has_the_format_of_an_import(name: str) -> None:
    whole = workflow(name)
    assert whole.keys() == {"definition", "parameters"}
    definition = whole["definition"]
    assert definition["$schema"].endswith("/2016-06-01/workflowdefinition.json#")
    assert len(definition["triggers"]) == 1
    assert all(re.fullmatch(r"\w{1,80}", action) for action in definition["actions"])


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_run_after_existing_actions_without_a_circle(name: str) -> None:
    actions = workflow(name)["definition"]["actions"]
    after = {action: set(whole["runAfter"]) for action, whole in actions.items()}
    assert set().union(*after.values()) <= actions.keys()
    assert set(TopologicalSorter(after).static_order()) == actions.keys()  # raises when they run in a circle
    for whole in actions.values():
        assert all(statuses and set(statuses) <= RUN_AFTER for statuses in whole["runAfter"].values())


@pytest.mark.parametrize("name", WORKFLOWS)
def test_expressions_refer_to_defined_names(name: str) -> None:
    whole = workflow(name)
    definition = whole["definition"]
    used = "\n".join(expressions(definition))
    assert set(re.findall(r"parameters\('(\w+)'\)", used)) == definition["parameters"].keys()
    assert whole["parameters"].keys() == definition["parameters"].keys()
    assert set(re.findall(r"body\('(\w+)'\)", used)) <= definition["actions"].keys()
    for expression in expressions(definition):
        for opening, closing in ("()", "[]", "{}"):
            assert expression.count(opening) == expression.count(closing), expression


@pytest.mark.parametrize("name", WORKFLOWS)
def test_action_reads_only_earlier_actions(name: str) -> None:
    actions = workflow(name)["definition"]["actions"]
    for action, whole in actions.items():
        before, left = set(), list(whole["runAfter"])
        while left:
            each = left.pop()
            before.add(each)
            left.extend(actions[each]["runAfter"])
        read = set(re.findall(r"body\('(\w+)'\)", "\n".join(expressions(whole))))
        assert read <= before, action


@pytest.mark.parametrize("name", WORKFLOWS)
def test_requests_reach_known_operations_with_the_managed_identity(name: str) -> None:
    found = list(calls(workflow(name)["definition"]))
    assert {operation_of(call) for call in found} == USED[name]
    for call in found:
        assert call["authentication"] == {"type": "ManagedServiceIdentity", "audience": "@parameters('audience')"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_request_bodies_fit_their_operations(name: str) -> None:
    for call in calls(workflow(name)["definition"]):
        operation, body = operation_of(call), call.get("body")
        if operation == "SendMessage":
            assert fits(body, MessageRequest)
            assert call["headers"]["Idempotency-Key"].startswith("@{workflow().run.name}-")
        elif operation == "CreateWebhook":
            taken = msgspec.convert(body, WebhookRequest)
            assert taken.callback_url == "@{listCallbackUrl()}"
            assert set(taken.events or ()) <= set(EventKind)
        elif operation == "RemoveCallback":
            assert msgspec.convert(body, CallbackRemoval).callback_url == "@{listCallbackUrl()}"
        else:
            assert body is None


@pytest.mark.parametrize("name", WORKFLOWS)
def test_run_history_hides_mail_content(name: str) -> None:
    definition = workflow(name)["definition"]
    holders = [each for each in definition["actions"].values() if each["type"] == "Http"]
    for each in (*holders, *definition["triggers"].values()):
        assert each["runtimeConfiguration"]["secureData"]["properties"] == ["inputs", "outputs"]


def test_only_send_and_wait_waits() -> None:
    waiting = {
        name: wish.goal
        for name in WORKFLOWS
        for call in calls(workflow(name)["definition"])
        if (wish := wish_of(_request(call))) is not None
    }
    assert waiting == {"send-and-wait": "sent"}


def test_bounced_notice_triggers_no_further_notice() -> None:
    definition = workflow("on-bounce")["definition"]
    [trigger] = definition["triggers"].values()
    [tag] = definition["actions"]["Send_a_notice"]["inputs"]["body"]["tags"]
    assert trigger["conditions"][0]["expression"].startswith("@not(contains(")
    assert f"'{tag}'" in trigger["conditions"][0]["expression"]


def test_every_sample_is_explained() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\(([\w-]+)\.json\)", text)) == set(WORKFLOWS)


def _request(call: dict[str, Any]) -> Request:
    headers = {name.lower(): value for name, value in call.get("headers", {}).items()}
    return Request(method=call["method"], path="/", headers=headers)
