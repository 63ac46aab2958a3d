"""The rows of suppressions: keys of addresses, reasons, expiry."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.clients.suppressions.rows import ALL, REASONS, Suppression, key_of
from relay.core.settings import SUPPRESSION_RULES
from tests.doubles import START

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "events.md").read_text()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Ada@EXAMPLE.org", "ada@example.ORG"),
        ("ada@müller.example", "ada@xn--mller-kva.example"),
        (" a@b.example", "a@b.example"),
    ],
)
def test_spellings_of_an_address_have_one_key(first: str, second: str) -> None:
    assert key_of(first) == key_of(second)


@given(st.text())
def test_any_text_has_a_key(text: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", key_of(text))


def test_suppression_without_an_expiry_is_never_over() -> None:
    assert not Suppression(email="a@b.example", reason="manual", scope=ALL, at=START).is_over(START)


def test_documentation_lists_every_reason_and_its_rule() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+?) \| (all clients|the client) \| ([^|]+?) \|$", PAGE, flags=re.MULTILINE)
    documented = {reason: (meaning, scope == "all clients", period) for reason, meaning, scope, period in rows}
    assert documented == {
        reason: (REASONS[reason], rule.for_all, f"{rule.days} days" if rule.days else "no expiry")
        for reason, rule in SUPPRESSION_RULES.items()
    }
