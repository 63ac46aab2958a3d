"""Whether a machine or a person opened a mail."""

import pytest

from relay.events.engagement import likely_actor

GMAIL_PREFETCH = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 "
    "Safari/537.36 Edge/12.246 Mozilla/5.0"
)
GMAIL_SHOWN = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.mark.parametrize(
    ("agent", "is_machine", "expected"),
    [
        (BROWSER, True, "machine"),
        (BROWSER, False, "person"),
        (BROWSER, None, ""),
        ("Mozilla/5.0", None, "machine"),
        (GMAIL_PREFETCH, None, "machine"),
        (GMAIL_PREFETCH, False, "machine"),
        (GMAIL_SHOWN, None, "person"),
        (None, None, ""),
        (["Mozilla/5.0"], "true", ""),
    ],
)
def test_actor_follows_from_the_vendor_and_the_user_agent(agent: object, is_machine: object, expected: str) -> None:
    assert likely_actor(agent, is_machine=is_machine) == expected
