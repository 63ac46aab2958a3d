"""docs/sendgrid-compatible.md lists every call and field of the SendGrid API."""

import re
from pathlib import Path

import pytest

from relay.api.operations import OPERATIONS
from relay.api.sendgrid.shape import SendGridMail, SendGridPersonalization
from relay.core.shape.check import member_names

PAGE = (Path(__file__).parents[2] / "docs/sendgrid-compatible.md").read_text(encoding="utf-8")
CALLS = [operation.endpoint for operation in OPERATIONS if operation.path.startswith("/v3/")]


def test_documentation_lists_every_call() -> None:
    documented = [line.split("`")[1] for line in PAGE.splitlines() if re.match(r"\| `[A-Z]+ /v3/", line)]
    assert sorted(documented) == sorted(CALLS)


@pytest.mark.parametrize("name", sorted({*member_names(SendGridMail), *member_names(SendGridPersonalization)}))
def test_documentation_lists_every_field(name: str) -> None:
    table = PAGE[PAGE.index("## What happens to each field") : PAGE.index("## Errors")]
    assert f"`{name}`" in table
