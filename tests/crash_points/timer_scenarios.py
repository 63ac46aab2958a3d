"""The scenarios of the timers: the purge, poison queues without a function, orphaned entries, checks of sent mail."""

import asyncio
import base64
from datetime import datetime, timedelta

import msgspec

from relay.core import entries, ids
from relay.core.model import Address, Message, Submission
from relay.core.outcomes import Rejected, Sent
from relay.core.send_request import SendRequest
from relay.platform.resources import AUDIT_CONTAINER, AUDIT_TABLE, CONTENT_CONTAINER, poison_of
from tests.crash_points.caller import TrackedSubmission
from tests.crash_points.host import MINUTE, NIGHT, RECOVERY, Trigger
from tests.crash_points.providers import Account, Answer
from tests.crash_points.scenarios import FAILED, ONE_ROUTE, SENT, UNKNOWN, always, first, for_subject, one, settings_of
from tests.crash_points.trial import Scenario, Stage
from tests.crash_points.world import MAIN_QUEUE, POISON_QUEUE
from tests.traces import traces

OLD_QUEUE = "relay-removed"
ORPHAN = "blob-of-nothing"
REJECTED_LATER = Rejected(code="recipient_refused", reply="the mailbox does not exist")
IN_PROGRESS = Sent(check_after_seconds=60.0)
CHECKED = settings_of(
    {
        "main": {
            "provider": "acs",
            "endpoint": "https://proof.communication.azure.com",
            "access_key": "setting:PROOF_KEY",
            "paces": [],
        }
    },
    PROOF_KEY=base64.b64encode(bytes(32)).decode(),
)


async def leave(stage: Stage, queue: str, label: str, *, is_revived: bool = False) -> None:
    """Put the entry of an accepted message on a queue, as if it had been there for some time."""
    world = stage.world
    client = await world.witness.clients.get("app")
    message = Message(
        sender=Address(email="app@sender.example"), to=(Address(email="ann@example.net"),), subject=label, text="Hello"
    )
    expires_at = world.clock() + timedelta(days=60)
    submission = Submission(client="app", client_id=client.id, message=message, expires_at=expires_at, size=500)
    batch = world.new_batch()
    mac = ids.mac(client.mac_key, batch, 0)
    body = entries.join_batch(batch, "transactional", [mac], [entries.encode_submission(submission)])
    name = str(ids.MessageId(batch=batch, index=0, mac=mac))
    stage.caller.submissions[label] = TrackedSubmission(label=label, has_key=True, requests=1, ids=[name])
    await world.queues.put(queue, entries.revive(body) if is_revived else body)


async def nights(stage: Stage) -> None:
    """Keep a message that waits for longer than the retention, while the purge deletes what is over."""
    world, caller = stage.world, stage.caller
    long_text = "A long letter. " * 4000
    await world.memory.blobs.put(CONTENT_CONTAINER, f"20250815/{ORPHAN}", b"Hello")
    later = (world.clock() + timedelta(days=20)).isoformat()
    await asyncio.gather(
        caller.submit("later", text=long_text, send_at=later),
        caller.submit("outdated", text=long_text, key="outdated"),
        caller.submit("outdated, refused"),
    )
    look = world.poll(60)
    await look.wait(60)
    while await world.queues.count(MAIN_QUEUE):
        await look.wait(60)
    world.skip_to(world.clock() + timedelta(days=15))
    await leave(stage, POISON_QUEUE, "poison")
    await leave(stage, POISON_QUEUE, "poison twice", is_revived=True)
    for label in ("outdated", "outdated, refused"):
        caller.note_purged(label)
    await stage.night(16)
    if await traces(world.memory, ORPHAN):
        caller.broken_promises.append("the purge left the blob of a message that was never accepted")
    world.skip_to(world.clock().replace(day=25, hour=10))
    await asyncio.sleep(60)


async def orphaned_entries(stage: Stage) -> None:
    """A lane was removed while entries were on its queues."""
    for queue, label in ((OLD_QUEUE, "one"), (poison_of(OLD_QUEUE), "two")):
        await stage.world.memory.queues.create(queue)
        stage.world.queue_names += (queue,)
        await leave(stage, queue, label)


async def archived_audit(stage: Stage) -> None:
    """Change something on two days, and let three nights archive the log."""
    world, caller = stage.world, stage.caller
    for night in (1, 2):
        await caller.insist("POST", "/v1/routes/main/release", {})
        await stage.night(night)
    kept = await archive_of(stage)
    await stage.night(3)
    if await archive_of(stage) != kept:
        caller.broken_promises.append("a day of the audit log was written again")
    rows = {row.row for row in world.memory.tables.rows(AUDIT_TABLE)}
    lines = [msgspec.json.decode(line)["id"] for _, body in kept.values() for line in body.splitlines()]
    if len(kept) != 2 or sorted(lines) != sorted(rows):
        caller.broken_promises.append(f"the archive has {len(lines)} records in {len(kept)} days, the log {len(rows)}")


async def archive_of(stage: Stage) -> dict[str, tuple[datetime, bytes]]:
    """Return when each blob of the archive was written, and its content."""
    blobs = stage.world.memory.blobs
    found, _ = await blobs.list(AUDIT_CONTAINER)
    return {blob.name: (blob.modified_at, await blobs.get(AUDIT_CONTAINER, blob.name)) for blob in found}


def later_result(request: SendRequest, number: int) -> Answer:
    """The provider reports its result at the second check."""
    if number == 1:
        return IN_PROGRESS
    return REJECTED_LATER if request.message.subject == "two" else Sent()


TIMER_SCENARIOS = (
    Scenario(
        name="archive of the audit log",
        settings=settings_of({"main": {"provider": "capture"}}, RELAY_AUDIT_ARCHIVE="true"),
        accounts=one(),
        play=archived_audit,
        # Every minute, so that another run overtakes one that stands still.
        triggers=(Trigger(run=lambda relay: relay.audit_retention.run(), following=MINUTE.following),),
        skews=(0.0, 0.0),
        ends={},
    ),
    Scenario(
        name="purge and poison without a function",
        settings=ONE_ROUTE,
        accounts=one(for_subject("outdated, refused", always(Rejected(code="content_refused")))),
        play=nights,
        triggers=(*RECOVERY, NIGHT),
        queues=(MAIN_QUEUE,),
        ends={"later": {SENT}, "poison": {SENT}, "poison twice": {FAILED}},
        may_end={"poison": {UNKNOWN}, "later": {UNKNOWN}, "poison twice": {UNKNOWN}},
    ),
    Scenario(
        name="orphaned entries",
        settings=ONE_ROUTE,
        accounts=one(),
        play=orphaned_entries,
        triggers=(MINUTE,),
        ends={"one": {SENT}, "two": {SENT}},
    ),
    Scenario(
        name="failed after it was accepted",
        settings=CHECKED,
        accounts=lambda: {"main": Account(first(IN_PROGRESS), check=later_result)},
        play=lambda stage: stage.caller.submit_all("one", "two"),
        triggers=(MINUTE,),
        ends={"one": {SENT}, "two": {FAILED}},
        may_end={"two": {SENT, UNKNOWN}},
    ),
)
