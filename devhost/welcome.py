"""What a newcomer is told once everything runs: the address, the key, and commands that work when pasted."""

from __future__ import annotations

import json


def curl_lines(*, base_url: str, key: str) -> tuple[str, str]:
    """Two commands to paste: one sends a first message, one lists the local inbox."""
    message = {
        "from": "app@example.com",
        "to": ["delivered@relay.test"],
        "subject": "Hello",
        "text": "The first message through Relay.",
    }
    authorization = f"-H 'Authorization: Bearer {key}'"
    send = (
        f"curl -sS {base_url}/v1/messages {authorization} "
        f"-H 'Content-Type: application/json' -d '{json.dumps(message)}'"
    )
    return send, f"curl -sS {base_url}/v1/inbox {authorization}"


def welcome(*, base_url: str, key: str) -> str:
    """The whole text."""
    send, inbox = curl_lines(base_url=base_url, key=key)
    return (
        f"\nRelay runs on {base_url} (Ctrl-C stops it).\n"
        f"Client key, also in .local/client-key: {key}\n\n"
        f"Send a message:\n{send}\n\nSee it in the local inbox:\n{inbox}\n\n"
        f"Or in a browser, with the same key: {base_url}/inbox and {base_url}/console\n"
    )
