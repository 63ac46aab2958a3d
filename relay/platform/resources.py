"""Name every queue, table and container of the storage account. The infrastructure is tested against these lists."""

from collections.abc import Iterator, Mapping

from relay.core.settings import Lane

ARRIVALS_TABLE = "arrivals"
AUDIT_TABLE = "audit"
CLIENTS_TABLE = "clients"
DEAD_LETTERS_TABLE = "deadletters"
IDEMPOTENCY_TABLE = "idempotency"
JOURNAL_TABLE = "journal"
MAILBOXES_TABLE = "mailboxes"
PACING_TABLE = "pacing"
PENDING_TABLE = "pending"
QUOTAS_TABLE = "quotas"
ROUTES_TABLE = "routes"
SEARCH_TABLE = "search"
SEND_GROUPS_TABLE = "groups"
SUPPRESSIONS_TABLE = "suppressions"
TEMPLATES_TABLE = "templates"
TIMERS_TABLE = "timers"
TOPICS_TABLE = "topics"
UPLOADS_TABLE = "attachments"
WEBHOOKS_TABLE = "webhooks"
WEBHOOK_LOG_TABLE = "webhooklog"

TABLES = (
    ARRIVALS_TABLE,
    AUDIT_TABLE,
    CLIENTS_TABLE,
    DEAD_LETTERS_TABLE,
    IDEMPOTENCY_TABLE,
    JOURNAL_TABLE,
    MAILBOXES_TABLE,
    PACING_TABLE,
    PENDING_TABLE,
    QUOTAS_TABLE,
    ROUTES_TABLE,
    SEARCH_TABLE,
    SEND_GROUPS_TABLE,
    SUPPRESSIONS_TABLE,
    TEMPLATES_TABLE,
    TIMERS_TABLE,
    TOPICS_TABLE,
    UPLOADS_TABLE,
    WEBHOOKS_TABLE,
    WEBHOOK_LOG_TABLE,
)

AUDIT_CONTAINER = "audit"
"""The archive of the audit log, if there is one."""
CONTENT_CONTAINER = "content"
"""Content of messages that does not fit into a queue entry."""
ATTACHMENTS_CONTAINER = "attachments"
"""Uploaded files that messages may name."""
INBOX_CONTAINER = "inbox"
"""Mail that the capture provider stores."""
UNREADABLE_CONTAINER = "unreadable"
"""Queue entries that could not be decoded."""
CONTAINERS = (AUDIT_CONTAINER, CONTENT_CONTAINER, ATTACHMENTS_CONTAINER, INBOX_CONTAINER, UNREADABLE_CONTAINER)

EVENTS_QUEUE = "events"
WEBHOOKS_QUEUE = "webhooks"
OWN_QUEUES = (EVENTS_QUEUE, WEBHOOKS_QUEUE)
"""Queues that carry no messages."""
DOCTOR_QUEUE = "relay-doctor-check"
"""Used by the doctor only and created when first needed. No lane can have a queue of this name."""


def poison_of(queue: str) -> str:
    """Return the name of the queue to which the host moves entries it gave up on."""
    return f"{queue}-poison"


def queues_of(lanes: Mapping[str, Lane]) -> Iterator[str]:
    """Yield the queues of every lane and Relay's own, each followed by its poison queue."""
    for name, lane in lanes.items():
        for queue in lane.queues(name):
            yield queue
            yield poison_of(queue)
    for queue in OWN_QUEUES:
        yield queue
        yield poison_of(queue)
