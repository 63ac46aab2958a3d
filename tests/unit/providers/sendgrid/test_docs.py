"""docs/providers/sendgrid.md names every setting, option and cause."""

from pathlib import Path

import pytest

from relay.core.shape.check import member_names
from relay.providers.sendgrid.options import Options
from relay.providers.sendgrid.outcomes import RULES
from relay.providers.sendgrid.settings import SETTINGS

PAGE = (Path(__file__).parents[4] / "docs/providers/sendgrid.md").read_text(encoding="utf-8")
_TABLE = PAGE[PAGE.index("## Settings of a route") : PAGE.index("`senders`, `concurrency`")]


def test_page_lists_every_setting() -> None:
    named = [line.split("`")[1] for line in _TABLE.splitlines() if line.startswith("| `")]
    assert sorted(named) == sorted(SETTINGS)


@pytest.mark.parametrize("name", sorted({*member_names(Options), *(rule.code for rule in RULES), "unreachable"}))
def test_page_lists_every_option_and_cause(name: str) -> None:
    assert f"`{name}`" in PAGE
