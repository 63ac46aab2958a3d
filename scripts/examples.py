"""Generate docs/api/examples.md: each operation in five languages, from the tables behind the OpenAPI document.

Run by `make docs`; tests/e2e/test_examples.py runs the curl and Python examples.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from relay.api.operation import Operation
from relay.api.operations import OPERATIONS

PAGE = Path(__file__).parent.parent / "docs/api/examples.md"
HEAD = """\
# API examples

Every operation in curl, Python, JavaScript, PowerShell and C#. `make docs` generates this page; the tests run the curl and Python
examples. Set `RELAY_URL`, `RELAY_KEY` and, if the address has one, the variable in capitals. `/openapi.json` and `/docs` describe
the responses.
"""
VARIABLES = {
    "messages": "MESSAGE_ID",
    "inbox": "MAIL_NAME",
    "webhooks": "WEBHOOK_ID",
    "attachments": "UPLOAD_ID",
    "clients": "CLIENT_NAME",
    "templates": "TEMPLATE_NAME",
    "routes": "ROUTE_NAME",
    "timers": "STEP_NAME",
    "suppressions": "EMAIL",
    "topics": "TOPIC_NAME",
}
"""Shell variable for the first variable segment of a path, by the segment before it."""


def operations() -> Iterator[Operation]:
    """Yield the operations of the API itself; SendGrid's API has its own page, and vendors call their own addresses."""
    for operation in OPERATIONS:
        if operation.path.startswith("/v1/") and not operation.path.startswith("/v1/ingest"):
            yield operation


def page() -> str:
    """Render the whole page."""
    return HEAD + "".join(_section(operation) for operation in operations())


def address(operation: Operation) -> list[str]:
    """Split the path into texts and names of variables (every second piece)."""
    pieces = re.split(r"\{\*?(\w+)\}", operation.path)
    before = operation.path.split("{")[0].rstrip("/").rpartition("/")[2]
    for number in range(1, len(pieces), 2):
        is_first = number == 1 and before in VARIABLES
        pieces[number] = VARIABLES[before] if is_first else pieces[number].upper()
    return pieces


def body_of(operation: Operation) -> Any:
    """Return the example body, or None if the operation takes no JSON body."""
    body = operation.body
    return None if body is None or not (body.shape or body.schema) else (body.example or {})


def _section(operation: Operation) -> str:
    blocks = (
        ("sh", _curl(operation)),
        ("python", _python(operation)),
        ("javascript", _javascript(operation)),
        ("powershell", _powershell(operation)),
        ("csharp", _csharp(operation)),
    )
    fences = "\n\n".join(f"```{language}\n{code}\n```" for language, code in blocks)
    return f"\n## {operation.name}\n\n`{operation.endpoint}`\n\n{fences}\n"


def _filled(operation: Operation, variable: str) -> str:
    """Join the path, with each variable formatted by `variable` (`{}` is the name)."""
    return "".join(
        variable.replace("{}", piece) if number % 2 else piece for number, piece in enumerate(address(operation))
    )


def _json(operation: Operation) -> str:
    body = body_of(operation)
    return "" if body is None else json.dumps(body, ensure_ascii=False)


def _curl(operation: Operation) -> str:
    lines = [f'curl -sS -X {operation.method} "$RELAY_URL{_filled(operation, "${}")}"']
    if operation.roles is not None:
        lines.append('-H "Authorization: Bearer $RELAY_KEY"')
    if body := _json(operation):
        lines += ['-H "Content-Type: application/json"', "-d '" + body.replace("'", "'\\''") + "'"]
    return " \\\n  ".join(lines)


def _python(operation: Operation) -> str:
    url = _filled(operation, "{os.environ['{}']}")
    headers = {"Authorization": "Bearer {key}"} if operation.roles is not None else {}
    body = body_of(operation)
    lines = ["import json", "import os", "from urllib.request import Request, urlopen", ""]
    lines.append(f"url = f\"{{os.environ['RELAY_URL']}}{url}\"")
    shown = 'headers = {"Authorization": f"Bearer {os.environ[\'RELAY_KEY\']}"}' if headers else "headers = {}"
    lines.append(shown)
    data = ""
    if body is not None:
        lines += ['headers["Content-Type"] = "application/json"', f"body = {body!r}"]
        data = ", data=json.dumps(body).encode()"
    lines.append(f'request = Request(url, method="{operation.method}", headers=headers{data})')
    lines += ["with urlopen(request) as response:", "    print(response.status, response.read().decode())"]
    return "\n".join(lines)


def _javascript(operation: Operation) -> str:
    url = _filled(operation, "${process.env.{}}")
    headers = ["Authorization: `Bearer ${process.env.RELAY_KEY}`"] if operation.roles is not None else []
    body = _json(operation)
    headers += ['"Content-Type": "application/json"'] if body else []
    parts = [f'method: "{operation.method}"', f"headers: {{ {', '.join(headers)} }}"]
    parts += [f"body: JSON.stringify({body})"] if body else []
    return (
        f"const response = await fetch(`${{process.env.RELAY_URL}}{url}`, {{\n  "
        + ",\n  ".join(parts)
        + ",\n});\nconsole.log(response.status, await response.text());"
    )


def _powershell(operation: Operation) -> str:
    url = _filled(operation, "$env:{}")
    headers = '@{ Authorization = "Bearer $env:RELAY_KEY" }' if operation.roles is not None else "@{}"
    lines = [f'Invoke-RestMethod -Method {operation.method.title()} -Uri "$env:RELAY_URL{url}"', f"-Headers {headers}"]
    if body := _json(operation):
        lines += ['-ContentType "application/json"', "-Body '" + body.replace("'", "''") + "'"]
    return " `\n  ".join(lines)


def _csharp(operation: Operation) -> str:
    url = _filled(operation, '{Environment.GetEnvironmentVariable("{}")}')
    lines = ["using var http = new HttpClient();"]
    if operation.roles is not None:
        key = '{Environment.GetEnvironmentVariable("RELAY_KEY")}'
        lines.append(f'http.DefaultRequestHeaders.Add("Authorization", $"Bearer {key}");')
    relay = '{Environment.GetEnvironmentVariable("RELAY_URL")}'
    lines.append(f'var request = new HttpRequestMessage(HttpMethod.{operation.method.title()}, $"{relay}{url}");')
    if body := _json(operation):
        lines += [f'request.Content = new StringContent("""{body}""", Encoding.UTF8, "application/json");']
    lines += ["var response = await http.SendAsync(request);"]
    lines += ['Console.WriteLine($"{(int)response.StatusCode} {await response.Content.ReadAsStringAsync()}");']
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
