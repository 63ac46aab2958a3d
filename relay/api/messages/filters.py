"""Read the filters of a list of messages from the query."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from relay.api.problems import Problems
from relay.api.reading.addresses import email_address, same_mailbox
from relay.api.reading.query import check_names, read_choice, read_time
from relay.api.services import Call
from relay.clients.registry import Client, Role
from relay.clients.roles import visible_clients
from relay.core.arrival.arrivals import Arrival
from relay.core.errors import Refusal
from relay.core.model import State
from relay.journal.listing import MessageFilter
from relay.journal.search.terms import MAX_METADATA, MAX_SUBJECT, ContentFilter, words

DEFAULT_SPAN = timedelta(hours=24)
_FIRST = datetime.min.replace(tzinfo=UTC)
_METADATA = re.compile(r"[A-Za-z0-9_.-]+=.*", re.DOTALL)
PARAMETERS = (
    *("since", "before", "state", "arrival", "recipient", "from", "subject", "tag", "metadata", "client"),
    *("limit", "cursor"),
)
STATE_PARAMETERS = ("since", "before", "state", "arrival", "tag", "client", "limit", "cursor")
"""Those that a viewer may use. A filter on content would tell a viewer what it is."""


async def read_filter(call: Call, problems: Problems) -> MessageFilter:
    """Read which messages are wanted, and note what is wrong. Raises `Refusal` for messages the caller must not see."""
    query = call.request.query
    check_names(query, PARAMETERS, problems)
    _check_viewer(call.client, query)
    visible = visible_clients(call.client, await call.services.clients.all())
    now = call.services.clock()
    before = read_time(query, "before", problems) or now
    since = read_time(query, "since", problems) or max(before, _FIRST + DEFAULT_SPAN) - DEFAULT_SPAN
    if since > before:
        problems.add("out_of_range", "since", "This must not be later than `before` (by default now).")
    content = ContentFilter(
        recipient=_mailbox(query, "recipient", problems),
        sender=_mailbox(query, "from", problems),
        subject=_subject(query.get("subject"), problems),
        tag=query.get("tag"),
        metadata=_metadata(query.get("metadata"), problems),
    )
    return MessageFilter(
        since=since,
        before=before,
        owners=visible,
        client=_client(call.client, query.get("client"), visible),
        state=read_choice(query, "state", State, problems),
        arrival=read_choice(query, "arrival", Arrival, problems),
        terms=content.terms(),
    )


def _check_viewer(caller: Client, query: Mapping[str, str]) -> None:
    refused = sorted(set(query) & (set(PARAMETERS) - set(STATE_PARAMETERS)))
    if caller.role is Role.VIEWER and refused:
        text = (
            "The role `viewer` sees no content, and so cannot search for it. Use a key of the role support or operator."
        )
        raise Refusal(403, "role_not_allowed", text, target=refused[0])


def _client(caller: Client, named: str | None, visible: Sequence[Client] | None) -> str | None:
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


def _mailbox(query: Mapping[str, str], name: str, problems: Problems) -> str | None:
    """Return an address in its one spelling, or the `@` and domain of all its addresses."""
    text = query.get(name)
    if text is None:
        return None
    is_domain = text.startswith("@")
    try:
        return same_mailbox(email_address("any" * is_domain + text)).removeprefix("any" * is_domain)
    except ValueError as error:
        problems.add("invalid_address", name, str(error))
        return None


def _subject(text: str | None, problems: Problems) -> str | None:
    if text is None:
        return None
    if len(text) > MAX_SUBJECT:
        problems.add("too_long", "subject", f"`subject` has at most {MAX_SUBJECT} characters.")
    elif not words(text):
        problems.add("invalid_value", "subject", "Write at least one word: it is compared by its letters and digits.")
    return text


def _metadata(text: str | None, problems: Problems) -> str | None:
    if text is None:
        return None
    if len(text) > MAX_METADATA:
        problems.add("too_long", "metadata", f"`metadata` has at most {MAX_METADATA} characters.")
    elif not _METADATA.fullmatch(text):
        problems.add(
            "invalid_value", "metadata", "Write a name, an equals sign and the whole value, such as `order=4711`."
        )
    return text
