"""Define the sets of roles that the operations table names, and the clients whose messages a caller may see.

Content is the mail that a sender wrote, and the replies of providers, which may quote it (docs/reference/roles.md). A viewer
gets no content.
"""

from collections.abc import Mapping, Sequence

from relay.clients.keys import Role
from relay.clients.registry import Client

OPERATORS = frozenset({Role.OPERATOR})
SENDERS = frozenset({Role.CLIENT, Role.OPERATOR})
"""Send mail, and manage the resources of a client."""
STATE_READERS = frozenset({Role.CLIENT, Role.VIEWER, Role.SUPPORT, Role.OPERATOR})
"""Read the states of messages: their own, or those they may see."""
CONTENT_READERS = STATE_READERS - {Role.VIEWER}
WATCHERS = STATE_READERS - {Role.CLIENT}
"""Read the state of the whole relay."""
RESENDERS = frozenset({Role.SUPPORT, Role.OPERATOR})
AUDITORS = frozenset({Role.AUDITOR, Role.OPERATOR})
EVERY_ROLE = frozenset(Role)


def visible_clients(caller: Client, clients: Mapping[str, Client]) -> Sequence[Client] | None:
    """Return the clients whose messages a caller may see; None: all messages, also those of deleted clients."""
    if caller.role not in WATCHERS:
        return (caller,)
    if caller.role is Role.OPERATOR or not caller.policy.sees:
        return None
    return [clients[name] for name in caller.policy.sees if name in clients]
