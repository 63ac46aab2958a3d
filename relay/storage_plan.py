"""Every queue, table and container there is. The infrastructure is tested against it."""

from collections.abc import Iterator, Mapping

from relay import (
    allowances,
    clients,
    deadletters,
    groups,
    holds,
    idempotency,
    journal,
    pacing,
    pending,
    suppressions,
    uploads,
)
from relay.accept import CONTENT_CONTAINER
from relay.content import ATTACHMENTS_CONTAINER
from relay.inbox import CONTAINER as INBOX_CONTAINER
from relay.ingest import mailboxes, sightings
from relay.settings import Lane
from relay.templates import store as templates
from relay.webhooks import deliver as webhooks
from relay.webhooks import posts
from relay.webhooks import subscriptions as subscriptions_to_webhooks

TABLES = (
    allowances.TABLE,
    clients.TABLE,
    deadletters.TABLE,
    groups.TABLE,
    holds.TABLE,
    idempotency.TABLE,
    journal.TABLE,
    mailboxes.TABLE,
    pacing.TABLE,
    pending.TABLE,
    suppressions.TABLE,
    templates.TABLE,
    uploads.TABLE,
    subscriptions_to_webhooks.TABLE,
    webhooks.LOG,
)
OWN_QUEUES = (sightings.QUEUE, posts.QUEUE)
"""Queues that carry no messages."""
DOCTOR_QUEUE = "relay-doctor-check"
"""Written to and read by the doctor alone; made when it is first needed. No lane can have a queue of this name."""
CONTAINERS = (CONTENT_CONTAINER, ATTACHMENTS_CONTAINER, INBOX_CONTAINER, deadletters.UNREADABLE_CONTAINER)


def poison_of(queue: str) -> str:
    """Where the host puts what it gives up on."""
    return f"{queue}-poison"


def queues_of(lanes: Mapping[str, Lane]) -> Iterator[str]:
    """The queues of every lane and Relay's own, each with its poison queue."""
    for name, lane in lanes.items():
        for queue in lane.queues(name):
            yield queue
            yield poison_of(queue)
    for queue in OWN_QUEUES:
        yield queue
        yield poison_of(queue)
