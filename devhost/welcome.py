"""The welcome text of `make run`: the address, the key, and commands to paste."""

from __future__ import annotations

import json


def curl_lines(*, base_url: str, key: str) -> tuple[str, str]:
    """Return two commands to paste: send a first message, and list the local inbox."""
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
    """Return the welcome text."""
    send, inbox = curl_lines(base_url=base_url, key=key)
    return (
        f"\nRelay is running on {base_url} (stop it with Ctrl-C).\n"
        f"Client key (also in .local/client-key): {key}\n\n"
        f"Send a message:\n{send}\n\nShow it in the local inbox:\n{inbox}\n\n"
        f"Or open {base_url}/inbox and {base_url}/console in a browser and sign in with the same key.\n"
    )
