"""Choose the wanted messages of a batch: pure functions."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from relay.clients.registry import Client
from relay.core import ids
from relay.core.arrival.arrivals import Arrival, RecipientArrival, Reports, arrivals_of, recipient_count
from relay.core.model import MessageStatus, State, Submission
from relay.journal.record_rows import Record, client_flag
from relay.journal.search.terms import Term, has_terms
from relay.journal.unreadable import UnreadableRecord


class MessageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages: accepted from `since` to before `before`. Of `owners` alone; None: of all clients. `arrival` is that of
    one recipient at least. A message has all `terms`.
    """

    since: datetime
    before: datetime
    owners: Sequence[Client] | None = None
    client: str | None = None
    state: State | None = None
    arrival: Arrival | None = None
    terms: frozenset[Term] = frozenset()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was wanted. `position` is where a page that begins after it begins.

    `submission` and `status` are None where they cannot be read. `arrivals` are those of its recipients.
    """

    id: str
    position: str
    created_at: datetime
    lane: str
    submission: Submission | None
    status: MessageStatus | None
    arrivals: Collection[RecipientArrival] = ()


def messages(record: Record, wanted: MessageFilter, reports: Callable[[str], Reports]) -> Iterator[tuple[int, Found]]:
    """Return the wanted messages of a batch with their indices, the last first."""
    entry = record.entry()
    for index in range(len(record.statuses) - 1, -1, -1):
        submission, status = entry.messages[index], record.statuses[index]
        if _is_visible(record.batch, index, entry.macs[index], submission, wanted) and _fits(
            submission, status, wanted
        ):
            arrivals = _arrivals(submission, status, reports)
            if _has_arrival(arrivals, wanted):
                found = _found(record, index, record.message_id(index, entry), submission, status)
                yield index, msgspec.structs.replace(found, arrivals=arrivals)


def unreadable_messages(
    record: UnreadableRecord,
    wanted: MessageFilter,
    mac_keys: Mapping[str, bytes],
    reports: Callable[[str], Reports],
) -> Iterator[tuple[int, Found]]:
    """Yield the messages of a record that cannot be read as a whole, the last first.

    One that cannot be read fits no filter but time and client. A client gets those that are certainly its own.
    """
    keys = mac_keys if wanted.owners is None else {owner.name: owner.mac_key for owner in wanted.owners}
    for index in range(len(record.statuses) - 1, -1, -1):
        submission, status = record.submission(index), record.statuses[index]
        name = record.message_id(index, keys)
        if not _is_owned(ids.parse(name), wanted):
            continue
        if _may_be_of(wanted.client, submission, record) and _may_fit(submission, status, wanted):
            arrivals = _arrivals(submission, status, reports)
            if _has_arrival(arrivals, wanted):
                found = _found(record, index, name, submission, status)
                yield index, msgspec.structs.replace(found, arrivals=arrivals)


def _found(
    record: Record | UnreadableRecord,
    index: int,
    name: str,
    submission: Submission | None,
    status: MessageStatus | None,
) -> Found:
    return Found(
        id=name,
        position=f"{record.batch}-{index:02d}",
        created_at=ids.created_at(record.batch),
        lane=record.lane,
        submission=submission,
        status=status,
    )


def _arrivals(
    submission: Submission | None, status: MessageStatus | None, reports: Callable[[str], Reports]
) -> Collection[RecipientArrival]:
    if submission is None or status is None:
        return ()
    count = recipient_count(submission.message, status)
    return frozenset(arrivals_of(status, submission.suppressed, count, reports).values())


def _has_arrival(arrivals: Iterable[RecipientArrival], wanted: MessageFilter) -> bool:
    return wanted.arrival is None or any(each.arrival is wanted.arrival for each in arrivals)


def _may_be_of(client: str | None, submission: Submission | None, record: UnreadableRecord) -> bool:
    if client is None:
        return True
    return client_flag(client) in record.client_flags if submission is None else submission.client == client


def _may_fit(submission: Submission | None, status: MessageStatus | None, wanted: MessageFilter) -> bool:
    if submission is not None and status is not None:
        return _fits(submission, status, wanted)
    return wanted.state is None and not wanted.terms


def _is_visible(batch: str, index: int, mac: str, submission: Submission, wanted: MessageFilter) -> bool:
    if wanted.client is not None and submission.client != wanted.client:
        return False
    # A client that was deleted and created again under the same name does not see the messages of the old one.
    name = ids.MessageId(batch=batch, index=index, mac=mac)
    return _is_owned(name, wanted)


def _is_owned(name: ids.MessageId, wanted: MessageFilter) -> bool:
    return wanted.owners is None or any(ids.belongs_to(name, owner.mac_key) for owner in wanted.owners)


def _fits(submission: Submission, status: MessageStatus, wanted: MessageFilter) -> bool:
    if wanted.state is not None and status.state is not wanted.state:
        return False
    if not wanted.terms:
        return True
    return submission.message is not None and has_terms(submission.message, wanted.terms)
