"""Every queue, table and container there is. The infrastructure is tested against it."""

from collections.abc import Iterator, Mapping

from relay.acceptance.acceptance import CONTENT_CONTAINER
from relay.clients import idempotency, suppressions, templates, uploads
from relay.clients import quotas as allowances
from relay.clients import registry as clients
from relay.core.settings import Lane
from relay.delivery import send_groups as groups
from relay.events import mailboxes
from relay.events import observation as sightings
from relay.events.webhooks import delivery as webhooks
from relay.events.webhooks import payload as posts
from relay.events.webhooks import subscriptions as subscriptions_to_webhooks
from relay.journal import dead_letters as deadletters
from relay.journal import pending
from relay.journal import records as journal
from relay.journal.content import ATTACHMENTS_CONTAINER
from relay.providers.capture.inbox import CONTAINER as INBOX_CONTAINER
from relay.routes import holds, pacing

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
