"""Read the filters of a list of messages from the query."""

import re
from collections.abc import Mapping
from datetime import timedelta

from relay.api.messages.access.checks import check_search, listed_client
from relay.api.problems import Problems
from relay.api.reading.addresses import email_address, same_mailbox
from relay.api.reading.query import check_names, read_choice, read_time
from relay.api.services import Call
from relay.clients.roles import visible_clients
from relay.core.arrival.arrivals import Arrival
from relay.core.model import State
from relay.journal.search.matches import MessageFilter
from relay.journal.search.terms import MAX_METADATA, MAX_SUBJECT, ContentFilter, words

DEFAULT_SPAN = timedelta(hours=24)
_METADATA = re.compile(r"[A-Za-z0-9_.-]+=.*", re.DOTALL)
PARAMETERS = (
    *("since", "before", "state", "arrival", "recipient", "from", "subject", "tag", "metadata", "client"),
    *("limit", "cursor"),
)


async def read_filter(call: Call, problems: Problems) -> MessageFilter:
    """Read the filter and note its problems. Raises `Refusal` for messages that the caller must not see."""
    query = call.request.query
    check_names(query, PARAMETERS, problems)
    check_search(call.client, query)
    visible = visible_clients(call.client, await call.services.clients.all())
    now = call.services.clock()
    before = read_time(query, "before", problems) or now
    since = read_time(query, "since", problems) or before - DEFAULT_SPAN
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
        client=listed_client(call.client, query.get("client"), visible),
        state=read_choice(query, "state", State, problems),
        arrival=read_choice(query, "arrival", Arrival, problems),
        terms=content.terms(),
    )


def _mailbox(query: Mapping[str, str], name: str, problems: Problems) -> str | None:
    """Return a normalized address, or `@` and a domain for all addresses of the domain."""
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
