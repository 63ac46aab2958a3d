"""docs/providers/smtp.md names every setting and cause, and the timeouts and limits in the code."""

from pathlib import Path

import pytest

from relay.providers.smtp.connection import SmtpTimeouts
from relay.providers.smtp.outcomes import RULES
from relay.providers.smtp.pool import MAX_IDLE_SECONDS, MAX_TRANSACTIONS
from relay.providers.smtp.settings import PRIVATE_NAMES, SETTINGS

PAGE = (Path(__file__).parents[4] / "docs/providers/smtp.md").read_text(encoding="utf-8")
_SETTINGS = PAGE[PAGE.index("## Settings of a route") : PAGE.index("`senders`, `concurrency`")]
_OWN_CAUSES = ("unreachable", "response_lost", "secret_unavailable")


def test_page_lists_every_setting() -> None:
    named = [line.split("`")[1] for line in _SETTINGS.splitlines() if line.startswith("| `")]
    assert sorted(named) == sorted(SETTINGS)


@pytest.mark.parametrize("name", sorted({*_OWN_CAUSES, *(rule.cause for rule in RULES), *PRIVATE_NAMES}))
def test_page_lists_every_cause_and_private_name(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_page_states_the_timeouts_and_limits() -> None:
    words, timeouts = " ".join(PAGE.split()), SmtpTimeouts()
    assert f"kept for {MAX_IDLE_SECONDS:g} seconds at most, and for {MAX_TRANSACTIONS} mails" in words
    assert f"{timeouts.step_seconds:g} seconds for a reply" in words
    assert f"{timeouts.content_seconds:g} seconds each for the transfer of the message and the reply to it" in words
    assert f"{timeouts.attempt_seconds:g} seconds for an attempt" in words
    assert f"waits {timeouts.slot_seconds:g} seconds for a free connection" in words
