"""The curl bodies in docs/api are accepted, and the Python examples compile."""

import json
import re
from pathlib import Path

import pytest

from tests.api.harness import Harness

PAGES = Path(__file__).parents[2] / "docs/api"
NAMES = ("templates.md", "attachments.md")
CALL = re.compile(r'curl -sS (?:-X (\w+) )?"\$RELAY_URL(\S+)"(.*?)```', re.DOTALL)


@pytest.mark.parametrize("page", NAMES)
async def test_curl_example_is_accepted(relay: Harness, page: str) -> None:
    upload = ""
    calls = CALL.findall((PAGES / page).read_text(encoding="utf-8"))
    assert len(calls) >= 2
    for method, path, rest in calls:
        client = "boss" if "OPERATOR_KEY" in rest else "app"
        sent = re.search(r"-d '(.*)'", rest, re.DOTALL)
        if sent is None:
            headers = {"Content-Type": "application/pdf"}
            response = await relay.call("POST", path, body=b"%PDF-1.7", headers=headers, client=client)
            upload = response.json["id"]
        else:
            body = json.loads(sent[1].replace("att_019c…", upload))
            response = await relay.call(method or "POST", path, json=body, client=client)
        assert response.status in (200, 201, 202), response.body
    assert relay.waiting == 1


@pytest.mark.parametrize("page", NAMES)
def test_python_example_compiles(page: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        compile(block, page, "exec")
