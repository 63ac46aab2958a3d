"""Generate docs/reference/roles.md from the operations of the API. Run by `make docs`."""

import sys
from collections.abc import Iterator
from pathlib import Path

from relay.api.operation import Operation
from relay.api.operations import OPERATIONS
from relay.clients.keys import Role

PAGE = Path(__file__).parent.parent / "docs/reference/roles.md"
_HEAD = """# Roles

`make docs` generates this page from the table that routes requests. The API refuses a call that the table does not allow with
403 [`role_not_allowed`](../errors.md#role_not_allowed), or [`operators_only`](../errors.md#operators_only) for a client and
for what only operators may do. A test calls every operation with a key of every role.

| role | for | sees |
|---|---|---|
| `client` | an application | its own messages, with their content |
| `viewer` | a dashboard, a monitor, a colleague | states of messages, totals, routes, dead letters; no content |
| `support` | people who answer customers | what a viewer sees, and the content; sends a failed message again, as it was |
| `operator` | people who run Relay | everything |
| `auditor` | people who review changes | the [audit log](../how-to/audit.md), and nothing else |

A key has the role of its client, or one of its own: `relay clients rotate shop --role viewer` makes a key for a dashboard of the
client `shop`. A client may have two active keys of each role. People get a role from
[an app role or a group in Microsoft Entra](../how-to/entra.md).

The policy `sees` limits a viewer or support to the messages and dead letters of some
clients, by name: `relay clients add helpdesk --role support --sees shop`. A limited role does not see messages of a deleted
client. A viewer's or support's key of a client whose own role is `client` sees that client's messages, unless `sees` names
clients. Totals (overview, arrivals, counts of dead letters) and routes are those of the whole relay for every role that sees
them.

## What counts as content

What the sender wrote: addresses and names of the sender and of the recipients, subject, text, HTML, attachments, headers,
template variables, and `metadata`. And what may quote it: replies of providers and of recipients' servers, the provider's id
of a message, and senders that are held on a route. A viewer gets none of it, cannot search for it, and gets no list of
recipients, only their number.

Not content: the message's id, client, lane, state, arrival, times, size, tags, topic, the causes and status codes of attempts and
events, and totals by the domain of recipients. So do not write personal data into tags.

Links that need no key, such as those to a mail's HTML, work as long as the client that got them, or one of its keys, has a
role that allows it.

## Operations

"""


def page() -> str:
    """Render the whole page."""
    return "\n".join([_HEAD, *_table()]) + "\n"


def _table() -> Iterator[str]:
    yield _row("operation", "endpoint", *Role)
    yield _row(*["---"] * (len(Role) + 2))
    for operation in OPERATIONS:
        yield _row(operation.name, f"`{operation.endpoint}`", *_cells(operation))


def _cells(operation: Operation) -> Iterator[str]:
    for role in Role:
        yield "no key" if operation.roles is None else "yes" if operation.may_call(role) else ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
