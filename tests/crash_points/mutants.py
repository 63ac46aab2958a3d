"""Mutation tests: breaks Relay on purpose, one line per mutant, and expects the tests of this folder to fail.

Run as `make mutants`. A surviving mutant shows a guarantee that no test here covers; rewrite a mutant whose text is no longer
found. Not part of `make test`: it takes minutes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[2]
NEEDED = ("relay", "tests/crash_points", "tests/depth.py", "tests/traces.py", "pyproject.toml")


class Mutant(msgspec.Struct, frozen=True, kw_only=True):
    """A replacement in a module of relay/, and what it breaks. `only`: words in the names of the tests to run; by default all."""

    module: str
    old: str
    new: str
    breaks: str
    only: str = ""


MUTANTS = (
    Mutant(
        module="acceptance/group_commit.py",
        old="        await self._queues.put(next(self._names), body)\n        return ids.names(",
        new="        import asyncio\n"
        "        asyncio.get_running_loop().create_task(self._queues.put(next(self._names), body))\n        return ids.names(",
        breaks="202 is returned before the message is durable",
    ),
    Mutant(
        module="delivery/delivery.py",
        old="        settled = await self._settle(record, changes)\n"
        "        await self._follow_up.run(record, settled, {change.index for change in changes})",
        new="        from relay.delivery.settlement import apply as _a\n"
        "        altered = _a(record.statuses, changes)\n"
        "        statuses = tuple(altered.get(n, s) for n, s in enumerate(record.statuses))\n"
        "        after = msgspec.structs.replace(record, statuses=statuses)\n"
        "        await self._follow_up.run(record, after, {change.index for change in changes})\n"
        "        await self._settle(record, changes)",
        breaks="what follows is enqueued before the outcome is recorded",
    ),
    Mutant(
        module="journal/intake.py",
        old="            await self._put_back(queue, put_back(entry) if put_back else body, PUT_BACK_SECONDS, deadline)",
        new="            pass",
        breaks="an entry that storage would not let us work on is not put back",
    ),
    Mutant(
        module="delivery/delivery.py",
        old="                if self._clock() >= until:\n                    raise",
        new="                raise",
        breaks="a settlement that storage refuses once is given up",
    ),
    Mutant(
        module="delivery/delivery.py",
        old="            await self._follow_up.run(None, record, idle)",
        new="            pass",
        breaks="a redelivery does not repair what a death left undone",
    ),
    Mutant(
        module="delivery/delivery.py",
        old="attempt=None if is_redelivery else entry.attempt)",
        new="attempt=entry.attempt)",
        breaks="a redelivered reference is taken for an old one",
    ),
    Mutant(
        module="delivery/delivery.py",
        old="entry.indices, entry.attempt + 1)",
        new="entry.indices, entry.attempt)",
        breaks="a reference that is put back is taken for an old one",
    ),
    Mutant(
        module="core/parts/part_turns.py",
        old="part.lease_until is not None and part.lease_until <= now",
        new="part.lease_until is not None",
        breaks="a part in another's hands is taken for an interrupted one",
    ),
    Mutant(
        module="core/parts/part_history.py",
        old="for attempt in part.attempts if attempt.outcome in _UNCERTAIN)",
        new="for attempt in part.attempts[-1:] if attempt.outcome in _UNCERTAIN)",
        breaks="only the last attempt is ever in doubt",
    ),
    Mutant(
        module="delivery/send_groups.py",
        old='part_states.postpone(part, later, "paused") if submission.group else None for submission, part in begun',
        new="None for _ in begun",
        breaks="a stop that storage does not let Relay read is ignored",
    ),
    Mutant(
        module="delivery/send_groups.py",
        old="        return [self._halt(part, stop)",
        new="        return [None and self._halt(part, stop)",
        breaks="a stopped group is sent",
    ),
    Mutant(
        module="acceptance/fan_out.py",
        old="        await concurrency.gather_limited(puts, limit=_AT_ONCE)\n",
        new="        await self._blobs.delete(CONTENT_CONTAINER, entry.fan_out)\n"
        "        await concurrency.gather_limited(puts, limit=_AT_ONCE)\n",
        breaks="a request's entries are forgotten before they are put",
    ),
    Mutant(
        module="core/parts/part_states.py",
        old="    if state in _NOT_SENT and is_uncertain(part):",
        new="    if False:",
        breaks="a final state denies that a message may have been sent",
    ),
    Mutant(
        module="core/parts/attempt_results.py",
        old="    unspent = _replace(part, attempt=part.attempt - 1)",
        new="    unspent = part",
        breaks="a hold spends an attempt",
    ),
    Mutant(
        module="core/parts/part_states.py",
        old="held_since=None, held_seconds=held,",
        new="held_since=None,",
        breaks="the time held counts towards expiry",
    ),
    Mutant(
        module="core/parts/put_back.py",
        old="    if part.state not in DEAD:\n        return None",
        new="    if part.state not in (*DEAD, State.SENT):\n        return None",
        breaks="what was sent can be redriven",
    ),
    Mutant(
        module="core/parts/part_states.py",
        old="if part.state in WAITING else None\n\n\ndef reschedule",
        new="if part.state in (*WAITING, State.SENDING) else None\n\n\ndef reschedule",
        breaks="what is being sent can be cancelled",
    ),
    Mutant(
        module="core/parts/part_history.py",
        old="    return len(last) == MAX_INTERRUPTIONS and",
        new="    return len(last) == 99 and",
        breaks="a message may kill its process for ever",
    ),
    Mutant(
        module="delivery/sending.py",
        old="            if part_history.is_uncertain(part) and (must_not or is_over):\n                return part, found, True",
        new="            pass",
        breaks="an at_most_once message in doubt is sent again",
    ),
    Mutant(
        module="journal/records.py",
        old="        return await self._tables.merge(TABLE, row, etag=record.etag)",
        new="        return await self._tables.merge(TABLE, row)",
        breaks="a settlement overwrites another's",
    ),
    Mutant(
        module="api/messages/repetition.py",
        old="        await call.services.acceptance.put_again(found.plan.lane, found.plan.entry)",
        new="        pass",
        breaks="a repeated request gets 202 although its message was never put",
    ),
    Mutant(
        module="acceptance/acceptance.py",
        old="                if reserve is not None:\n                    await reserve(prepared)\n"
        "                await self._commits[prepared.lane].put_entry(prepared.entry)",
        new="                await self._commits[prepared.lane].put_entry(prepared.entry)\n"
        "                if reserve is not None:\n                    await reserve(prepared)",
        breaks="a repeated request makes another message",
    ),
    Mutant(
        module="operations/message_changes.py",
        old=", before_write=self._follow_up.put_rows",
        new="",
        breaks="a redrive that dies halfway is forgotten",
    ),
    Mutant(
        module="delivery/reported_refusals.py",
        old=", before_write=self._follow_up.put_rows",
        new="",
        breaks="what a report put back is forgotten if the process dies before its entry",
        only="report",
    ),
    Mutant(
        module="core/parts/put_back.py",
        old="[each.accepted_number for each in part.attempts[-1:]] == [number]",
        new="True",
        breaks="a repeated report puts back what was sent again since",
        only="report",
    ),
    Mutant(
        module="core/parts/put_back.py",
        old="        if has_one_sender or refusal.attempt in (each.number, each.verified):",
        new="        if True:",
        breaks="an attempt counts as refused although no report is about it",
        only="report one of two",
    ),
    Mutant(
        module="delivery/settlement.py",
        old="            if code not in still:",
        new="            if True:",
        breaks="a deletion that takes effect late takes a dead letter off its list",
        only="report one of two",
    ),
    Mutant(
        module="operations/erasure.py",
        old="            if named or record.remains():",
        new="            if named:",
        breaks="an erasing that dies halfway is forgotten",
    ),
    Mutant(
        module="operations/erasure.py",
        old="        for blob in blobs:\n",
        new="        await self._journal.forget(record)\n        for blob in blobs:\n",
        breaks="the content's blob is forgotten before it is deleted",
    ),
    Mutant(
        module="journal/content.py",
        old="        if not spans:\n",
        new="        if True:\n",
        breaks="the erasure of a message deletes the content of others in its blob",
        only="shared",
    ),
    Mutant(
        module="journal/content.py",
        old="self._blobs.replace(CONTENT_CONTAINER, blob, bytes(kept), etag=etag)",
        new="self._blobs.put(CONTENT_CONTAINER, blob, bytes(kept))",
        breaks="an erasure writes back what another one has erased since",
        only="any operation two erased shared",
    ),
    Mutant(
        module="acceptance/content_blobs.py",
        old="        await self._blobs.put(CONTENT_CONTAINER, name, body)\n",
        new="        import asyncio\n"
        "        asyncio.get_running_loop().create_task(self._blobs.put(CONTENT_CONTAINER, name, body))\n",
        breaks="202 is returned before the content is durable",
        only="shared",
    ),
    Mutant(
        module="delivery/poison.py",
        old="        await self._end(queue, body, record, indices)",
        new="        pass",
        breaks="poison entries are thrown away",
    ),
    Mutant(
        module="operations/recovery.py",
        old="        await self._follow_up.put_reference(due.batch, due.lane, current.indices, current.attempt, at)",
        new="        pass",
        breaks="recovery puts nothing back",
    ),
    Mutant(
        module="delivery/settlement.py",
        old="        await self._note_deaths(after, ended)\n        await self._enqueue(",
        new="        await self._enqueue(",
        breaks="dead letters are on no list",
    ),
    Mutant(
        module="operations/recovery.py",
        old="            await self._follow_up.repeat_ends(record, record.having(due.indices))\n",
        new="",
        breaks="a process that dies after it recorded a cancellation leaves the client without a webhook",
        only="ended without being sent",
    ),
    Mutant(
        module="delivery/settlement.py",
        old="            if key not in new:\n                await self._pending.remove(due)",
        new="            await self._pending.remove(due)",
        breaks="rows of what still waits are removed",
    ),
    Mutant(
        module="journal/records.py",
        old="[_CANCELLED if index in cancelled_unrecorded else status for index, status in enumerate(statuses)]",
        new="list(statuses)",
        breaks="a record overwrites the cancellation that came before it",
        only="cancelled at once",
    ),
    Mutant(
        module="delivery/settlement.py",
        old="            if old.get(key) != due and set(due.indices) & set(chosen):",
        new='            if old.get(key) != due and set(due.indices) & set(chosen) and due.kind != "deferred":',
        breaks="a deferred message has no row in pending",
        only="lost entry",
    ),
    Mutant(
        module="delivery/attempts.py",
        old="total_seconds() < self._min_seconds_left",
        new="total_seconds() < 0",
        breaks="an attempt begins at the end of its lease",
        only="slow provider",
    ),
    Mutant(
        module="delivery/attempts.py",
        old="        if self._is_too_late(part):",
        new="        if False:",
        breaks="a process that stood still sends after its lease",
        only="two instances",
    ),
    Mutant(
        module="journal/old_batches.py",
        old="        return not is_open and is_older(",
        new="        return is_older(",
        breaks="the purge deletes what waits",
        only="purge",
    ),
    Mutant(
        module="operations/purge.py",
        old="        for blob in old.blobs:\n            await self._blobs.delete(CONTENT_CONTAINER, blob)\n"
        "        await self._tables.delete_all(JOURNAL_TABLE, old.partition, old.rows)",
        new="        await self._tables.delete_all(JOURNAL_TABLE, old.partition, old.rows)\n"
        "        for blob in old.blobs:\n            await self._blobs.delete(CONTENT_CONTAINER, blob)",
        breaks="the purge forgets content before it is deleted",
        only="purge",
    ),
    Mutant(
        module="operations/purge.py",
        old='            "blobs": partial(self._old_blobs, CONTENT_CONTAINER, long),\n',
        new="",
        breaks="the blob of a message that was never accepted stays for ever",
        only="purge",
    ),
    Mutant(
        module="operations/poison_queues.py",
        old="            await handle(entry.body)\n            await self._queues.delete(queue, entry)",
        new="            await self._queues.delete(queue, entry)\n            await handle(entry.body)",
        breaks="the drain deletes an entry before its messages are dead letters",
        only="purge",
    ),
    Mutant(
        module="operations/orphan_entries.py",
        old="        await self._queues.put(home, entry.body)\n        await self._queues.delete(queue, entry)",
        new="        await self._queues.delete(queue, entry)\n        await self._queues.put(home, entry.body)",
        breaks="an orphaned entry is deleted before it is moved",
        only="orphaned",
    ),
    Mutant(
        module="operations/sent_checks.py",
        old="        await self._follow_up.run(change.before if change.is_written else None, settled, indices)",
        new="        await self._follow_up.run(change.before, settled, indices)",
        breaks="a check that dies halfway leaves no dead letter",
        only="failed after",
    ),
    Mutant(
        module="operations/sent_checks.py",
        old="check_at=None if is_over or later - last.at > CHECK_FOR else later",
        new="check_at=None",
        breaks="a provider that does not know yet is not asked again",
        only="failed after",
    ),
    Mutant(
        module="core/parts/attempt_results.py",
        old="        case RouteFault():\n            return _after_route_fault(",
        new="        case RouteFault():\n            return end(recorded, State.FAILED, outcome.code)\n"
        "            return _after_route_fault(",
        breaks="a wrong configuration loses messages",
        only="hold release",
    ),
    Mutant(
        module="operations/timers/client_brake.py",
        old="                await self._webhooks.notify(_notice(brake))\n                await self._brakes.mark_noticed(brake)",
        new="                await self._brakes.mark_noticed(brake)\n                await self._webhooks.notify(_notice(brake))",
        breaks="a process that dies before the post leaves a held client without a notice",
        only="held for bounces",
    ),
    Mutant(
        module="events/apply.py",
        old="if place in recorded or (each.again and place in keys):",
        new="if place in recorded:",
        breaks="a process that dies between a reply's event and its webhook leaves the client without a post",
        only="answered by mail",
    ),
    Mutant(
        module="core/parts/put_back.py",
        old="        if before.state in WAITING or _ended_for_lost_response(before)\n",
        new="        if _ended_for_lost_response(before)\n",
        breaks="a report about a lost response is dropped while its route is held",
        only="refused report lost responses",
    ),
    Mutant(
        module="core/parts/put_back.py",
        old="        if before.state in WAITING or _ended_for_lost_response(before)\n",
        new="        if before.state in WAITING\n",
        breaks="a dead letter stays one although its provider reports that it refused the mail",
        only="refused report unknown",
    ),
    Mutant(
        module="core/parts/attempt_results.py",
        old="    if isinstance(outcome, Unknown) and result.is_final_check:\n",
        new="    if False:\n",
        breaks="a dead letter stays one although its provider reports that it refused each of several attempts",
        only="refused report unknown twice",
    ),
    Mutant(
        module="clients/idempotency.py",
        old="        return await self._take_over(known, plan)",
        new="        return None",
        breaks="a repetition is decided again instead of finishing the first request",
        only="repeated after changes",
    ),
    Mutant(
        module="delivery/planning.py",
        old="    if part_states.expires_at(part, submission) <= now:",
        new="    if False:",
        breaks="a message is sent after its expiry",
        only="held past the expiry",
    ),
    Mutant(
        module="platform/concurrency.py",
        old="        return self._clock() >= self._at",
        new="        return False",
        breaks="a timer works on after its deadline, until the host kills it",
        only="slow storage",
    ),
)


def killed_by(mutant: Mutant, folder: Path) -> str:
    """Return the first test that fails on a mutated copy, or "". Raises `LookupError` when the text or the tests are gone."""
    for name in NEEDED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    path = folder / "relay" / mutant.module
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise LookupError(f"relay/{mutant.module} does not hold this once: {mutant.old!r}")
    path.write_text(text.replace(mutant.old, mutant.new))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            "--tb=no",
            *_selection(mutant),
            "tests/crash_points",
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise LookupError(f"no test ran for {mutant.only!r}: {done.stdout[-500:]}")
    failed = [line.partition("::")[2] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode == pytest.ExitCode.TESTS_FAILED and not any(failed):
        raise LookupError(f"the tests cannot be collected: {done.stdout[-500:]}")
    return failed[0] if failed else ""


def _selection(mutant: Mutant) -> list[str]:
    return ["-k", mutant.only.replace(" ", " and ")] if mutant.only else []


def main(wanted: str = "") -> int:
    """Try every mutant. Returns the number of survivors as the exit code."""
    survivors = 0
    for mutant in MUTANTS:
        if wanted not in f"{mutant.module} {mutant.breaks}":
            continue
        with tempfile.TemporaryDirectory() as folder:
            killer = killed_by(mutant, Path(folder))
        survivors += not killer
        print(f"{'killed' if killer else 'SURVIVES':9} {mutant.module:18} {mutant.breaks}", flush=True)
        print(f"          {killer}" if killer else "", flush=True)
    return survivors


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
