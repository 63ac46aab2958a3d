"""The alert rules and the workbook read the log lines that the code writes. KQL itself is compiled elsewhere."""

import ast
import json
import re
from functools import cache
from pathlib import Path

import msgspec
import pytest

from relay.core.outcomes import CAUSES
from relay.platform.telemetry import QueueMetrics
from tests.doubles import Place
from tests.repository.bicep_text import INFRA, ROOT, bicep

QUERIES = {path.stem: path.read_text() for path in (INFRA / "alerts").glob("*.kql")}
WORKBOOK = json.loads((INFRA / "relay.workbook.json").read_text())
PANELS = {item["name"]: item["content"]["query"] for item in WORKBOOK["items"] if item["type"] == 3}
RULES = bicep("alerts.bicep")


def rules() -> list[dict[str, str]]:
    """Every alert rule: its members as written."""
    [body] = re.findall(r"^var rules = \[\n(.*?)^\]", RULES, flags=re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^  \{\n(.*?)^  \}", body, flags=re.MULTILINE | re.DOTALL)
    return [dict(re.findall(r"^    (\w+): (.+)$", block, flags=re.MULTILINE)) for block in blocks]


@cache
def events() -> dict[str, set[str]]:
    """Every event that the code logs, with the names of its fields."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "relay").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("log_event", "log_failure"):
                event = node.args[0]
                assert isinstance(event, ast.Constant), f"{path}: an event is a constant word"
                found.setdefault(str(event.value), set()).update(each.arg for each in node.keywords if each.arg)
    found["queue"] |= {field.name for field in msgspec.structs.fields(QueueMetrics)}
    return found


READ = {**QUERIES, **PANELS}


def events_in(query: str) -> set[str]:
    return set(re.findall(r'message startswith "(\w+) \{"', query))


def fields_in(query: str) -> set[str]:
    return set(re.findall(r"\bfields\.(\w+)", query)) | set(re.findall(r'\bfields\["(\w+)"\]', query))


@pytest.mark.parametrize("name", ["timer-behind", "timer-behind-at-night"])
def test_alerts_of_unfinished_timers_know_the_steps_of_each_minute(name: str) -> None:
    # The step that notes the timer's run, and the health log, leave no work.
    steps = {step.name for step in Place().every_minute.steps} - {"late_timer", "health_log"}
    [listed] = re.findall(r"fields\.step\) !?in \((.*)\)", QUERIES[name])
    assert set(json.loads(f"[{listed}]")) == steps | {"message_trace"}


@pytest.mark.parametrize("name", READ)
def test_query_reads_only_logged_fields(name: str) -> None:
    read = events_in(READ[name])
    assert read - events().keys() == set()
    written = set().union(*(events()[event] for event in read))
    assert fields_in(READ[name]) - written == set()


def test_most_queries_read_events() -> None:
    assert len([query for query in READ.values() if events_in(query)]) >= 17


def test_causes_excluded_from_the_alert_exist() -> None:
    [listed] = re.findall(r"dynamic\(\[(.*?)\]\)", QUERIES["dead-letters"], flags=re.DOTALL)
    own_fault = set(re.findall(r'"(\w+)"', listed))
    assert own_fault <= CAUSES.keys()
    assert not own_fault & {"expired", "poisoned", "unreadable", "response_lost", "content_missing", "no_route"}


def test_every_query_has_a_rule_and_a_section_on_the_page() -> None:
    named = [rule["name"].strip("'") for rule in rules()]
    assert sorted(named) == sorted(QUERIES)
    assert [rule["query"] for rule in rules()] == [f"loadTextContent('alerts/{name}.kql')" for name in named]
    page = (ROOT / "docs/reference/alerts.md").read_text()
    assert [name for name in named if f"\n## {name}\n" not in page] == []


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["name"])
def test_rule_uses_columns_of_its_query(rule: dict[str, str]) -> None:
    query = QUERIES[rule["name"].strip("'")]
    last = query.strip().splitlines()[-1]
    measure = rule["measure"].strip("'")
    columns = [measure, *re.findall(r"'(\w+)'", rule["by"])] if measure else re.findall(r"'(\w+)'", rule["by"])
    assert [column for column in columns if not re.search(rf"\b{column}\b", last)] == []
    assert (rule["aggregation"] == "'Count'") == (not measure)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["name"])
def test_rule_window_is_at_least_its_interval(rule: dict[str, str]) -> None:
    minutes = {"'PT5M'": 5, "'PT15M'": 15, "'PT1H'": 60, "'PT6H'": 360, "'P1D'": 1440}
    assert minutes[rule["window"]] >= minutes[rule["every"]]


def test_workbook_names_no_deployment() -> None:
    text = (INFRA / "relay.workbook.json").read_text()
    assert WORKBOOK["fallbackResourceIds"] == ["__COMPONENT__"]
    assert "/subscriptions/" not in text
    assert "replace(loadTextContent('relay.workbook.json'), '__COMPONENT__', componentId)" in bicep("workbook.bicep")


def test_log_line_is_an_event_name_and_json() -> None:
    """`relay.platform.log` writes what the queries take apart."""
    source = (ROOT / "relay/platform/log.py").read_text()
    assert source.count('"%s %s"') == 2
    assert Path(ROOT / "host.json").read_text().count('"default": "Information"') == 1
