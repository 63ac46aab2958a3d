"""Count storage transactions per message in Azurite's request log."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import msgspec

from bench.end_to_end import deliver
from bench.results import Figure
from bench.systems import MESSAGE, running

MESSAGES = 1600
_REQUEST = re.compile(r'"(?P<method>[A-Z]+) (?P<path>/devstoreaccount1[^ ?]*)')
BATCH = 1000


async def per_message() -> AsyncIterator[Figure]:
    """Count transactions from the first submission until the provider has the last message and its record is written."""
    for senders in (32, 1):
        async with running("relay", logs_requests=True) as target:
            await deliver(target, 32)
            target.requests.clear()
            before = target.usage()
            messages, _ = await deliver(target, MESSAGES, connections=senders)
            spent = target.spent(before, messages)
            # The host waits for running invocations, so all records are written after the stop.
            await target.host.stop(grace_seconds=12)
            counts = kinds(target.requests)
        yield Figure(name=f"transactions/{senders}", unit="a message", runs=[sum(counts.values()) / messages])
        for kind, count in sorted(counts.items()):
            yield Figure(name=f"transactions/{senders} {kind}", unit="a message", runs=[count / messages])
        yield Figure(name=f"transactions/{senders} host CPU", unit="ms a message", runs=[spent["host"]])


async def batch_of_1000() -> AsyncIterator[Figure]:
    """Count operations until a batch of 1000 small messages is stored."""
    async with running("relay", delivers=False, logs_requests=True) as target:
        body = {
            "defaults": {key: value for key, value in MESSAGE.items() if key != "to"} | {"text": "Hello"},
            "messages": [{"to": f"ada{number}@example.net"} for number in range(BATCH)],
        }
        async with target.session.post(
            f"{target.url}/v1/messages/batch",
            data=msgspec.json.encode(body),
            headers={**target.headers, "Content-Type": "application/json"},
        ) as response:
            await response.read()
            if response.status != 202:
                raise RuntimeError(f"the batch returned {response.status}, expected 202")
        operations = sum(count for kind, count in kinds(target.requests).items() if kind.startswith("PUT"))
        yield Figure(name="batch/operations", unit="a message", runs=[operations / BATCH])


def kinds(lines: Sequence[str]) -> Counter[str]:
    """Count requests by kind: the method, and the first path segment after the account."""
    found: Counter[str] = Counter()
    for line in lines:
        request = _REQUEST.search(line)
        if request is not None:
            place = re.split(r"[/(]", request["path"].removeprefix("/devstoreaccount1/"))[0]
            found[f"{request['method']} {place}"] += 1
    return found
