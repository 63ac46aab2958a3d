"""Refuse searches, lists and choices that a role is not allowed."""

from collections.abc import Collection, Sequence

from relay.clients.keys import Role
from relay.clients.registry import Client
from relay.core.errors import Refusal

_STATE_FILTERS = frozenset({"since", "before", "state", "arrival", "tag", "client", "limit", "cursor"})
"""The list parameters that a viewer may use. A filter on content would reveal the content."""


def check_search(caller: Client, given: Collection[str]) -> None:
    """Refuse a viewer's search for content. Raises `Refusal` (403)."""
    refused = sorted(set(given) - _STATE_FILTERS)
    if caller.role is Role.VIEWER and refused:
        text = (
            "The role `viewer` sees no content, and so cannot search for it. Use a key of the role support or operator."
        )
        raise Refusal(403, "role_not_allowed", text, target=refused[0])


def listed_client(caller: Client, named: str | None, visible: Sequence[Client] | None) -> str | None:
    """Return the client whose messages are listed; None: all that the caller may see. Raises `Refusal` (403) for another."""
    if visible is None:
        return named
    names = [client.name for client in visible]
    if named is None:
        return names[0] if len(names) == 1 else None
    if named in names:
        return named
    if caller.role is Role.CLIENT:
        raise Refusal(403, "operators_only", "Only operators may list another client's messages.", target="client")
    text = f"This key sees only the messages of: {', '.join(names)} (policy: sees)."
    raise Refusal(403, "role_not_allowed", text, target="client")


def check_choices(caller: Client, **chosen: str | None) -> None:
    """Refuse values that only operators may choose: support resends a message unchanged. Raises `Refusal` (403)."""
    named = [name for name, value in chosen.items() if value is not None]
    if named and caller.role is not Role.OPERATOR:
        text = f"Only operators may choose the {named[0]}. Leave it out to send the message as it was."
        raise Refusal(403, "role_not_allowed", text, target=named[0])
