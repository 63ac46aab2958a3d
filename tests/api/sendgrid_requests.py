"""Requests as SendGrid's libraries send them."""

from typing import Any


def mail(**changes: Any) -> dict[str, Any]:
    """A mail that is taken, changed (`from_` stands for `from`); what is None is left out."""
    whole = {
        "personalizations": [{"to": [{"email": "ada@example.org"}]}],
        "from": {"email": "app@example.com"},
        "subject": "Hello",
        "content": [{"type": "text/plain", "value": "A text"}],
        **{name.rstrip("_"): value for name, value in changes.items()},
    }
    return {name: value for name, value in whole.items() if value is not None}


def to(*emails: str, **more: Any) -> dict[str, Any]:
    """A personalization to these addresses."""
    return {"to": [{"email": email} for email in emails], **more}
