"""Write the welcome text of `make run`: links that sign in, and a command to paste."""

from __future__ import annotations

import json
from collections.abc import Mapping


def curl_line(*, base_url: str, key: str) -> str:
    """Return the command that sends a first message."""
    message = {
        "from": "app@example.com",
        "to": ["delivered@relay.test"],
        "subject": "Hello",
        "text": "The first message through Relay.",
    }
    return (
        f"curl -sS {base_url}/v1/messages -H 'Authorization: Bearer {key}' "
        f"-H 'Content-Type: application/json' -d '{json.dumps(message)}'"
    )


def welcome(*, base_url: str, key: str, inboxes: Mapping[str, str]) -> str:
    """Return the welcome text. `inboxes`: the URL of the mail that each stand-in took, by route.

    The key stands behind `#`, which a browser does not send: the page reads it, and removes it from the address.
    """
    return (
        f"\nRelay is running on {base_url} (Ctrl-C stops it)\n\n"
        f"  Inbox    {base_url}/inbox#key={key}\n"
        f"  Console  {base_url}/console#key={key}\n"
        f"  API      {base_url}/docs#key={key}\n\n"
        f"{_table(inboxes)}"
        f"Send a message:\n\n{curl_line(base_url=base_url, key=key)}\n\n"
        "The key is also in .local/client-key, the log in .local/run.log. Problems appear below.\n"
    )


def _table(inboxes: Mapping[str, str]) -> str:
    if not inboxes:
        return ""
    rows = [
        ("Mail to", "leaves by", "and arrives at"),
        *((f"*@{name}.test", name, url) for name, url in inboxes.items()),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "".join(f"  {line}\n" for line in lines) + "\n"
