"""The soak: thousands of messages through real processes, while the host is killed and the provider misbehaves.

Azurite and the local host run as processes, SendGrid's stand-in on loopback. The host is killed with SIGKILL at random
(seeded) moments and started again; the stand-in returns 429, 500 and 504, hangs, cuts connections, and takes messages without
saying so. At the end the accounts are done, printed as a table, and every breach of a promise is named.

`make soak`, or `python -m tests.e2e.soak --messages 50000 --seed 7`. docs/delivery-semantics.md says how to read the table.
"""

import argparse
import asyncio
import os
import random
import re
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress

import aiohttp
import msgspec

from devhost.azurite import Azurite
from devhost.children import Child, say
from relay.bootstrap import Relay, start
from relay.core.errors import Unavailable
from standins.sendgrid.server import DEFAULT_KEY, SendGridStandIn
from tests.e2e.running import ROOT, first_key
from tests.e2e.soak_accounting import Accounting, TrackedSubmission, read_accounting

LEASE_SECONDS = 15
"""Lease time of the host. It is short, since the entries of a killed host become visible only after it."""
ATTEMPT_SECONDS = 10
ANSWER_SECONDS = 2
READY_SECONDS = 60
BOOKS_TRIES = 5
MODEST_CHAOS: Mapping[str | int, float] = {"429": 0.05, "500": 0.05}
WILD_CHAOS: Mapping[str | int, float] = {
    **MODEST_CHAOS,
    "cut": 0.03,
    "cut_after": 0.03,
    "hang": 0.02,
    "hang_after": 0.02,
    "504_after": 0.02,
}
_READY = re.compile(r"Host is ready on (?P<url>http://\S+)")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How much, and how wild. `kill_seconds`: the shortest and longest life of a host while messages are submitted.

    With `is_gentle` the route of the at_most_once messages loses no responses: Relay would verify them a minute later.
    """

    messages: int
    seed: int = 1
    senders: int = 16
    kill_seconds: tuple[float, float] = (2.0, 6.0)
    patience_seconds: float = 600.0
    is_gentle: bool = False


class Soak:
    """One run."""

    def __init__(self, plan: Plan) -> None:
        self.submissions: list[TrackedSubmission] = []
        self.kills = 0
        self._plan = plan
        self._chance = random.Random(plan.seed)
        self._is_submitted = asyncio.Event()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])

    async def run(self) -> Accounting:
        """Submit messages and kill hosts, wait until all messages have ended, and return the accounting."""
        async with AsyncExitStack() as exits:
            azurite = await Azurite.start()
            exits.push_async_callback(azurite.stop)
            main = await exits.enter_async_context(SendGridStandIn(lean=True))
            careful = await exits.enter_async_context(SendGridStandIn(lean=True))
            main.script.chaos(self._plan.seed, WILD_CHAOS)
            careful.script.chaos(self._plan.seed + 1, MODEST_CHAOS if self._plan.is_gentle else WILD_CHAOS)
            environment = {**os.environ, **_settings(main, careful, azurite)}
            key = await first_key(environment)
            relay = start(environment)
            exits.push_async_callback(relay.close)
            serving = asyncio.create_task(self._serve(environment))
            exits.push_async_callback(_cancelled, serving)
            await self._submit_all(key)
            self._is_submitted.set()
            return await self._until_rest(relay, serving, (main, careful))

    # ── the host ──

    async def _serve(self, environment: Mapping[str, str]) -> None:
        """Start and kill the host repeatedly; the last one lives."""
        while True:
            host = await Child.start(
                name="the local host",
                argv=(
                    *(sys.executable, "-m", "devhost", "--port", str(self._port)),
                    *("--lease-seconds", str(LEASE_SECONDS)),
                ),
                ready=_READY,
                env={**environment, "PYTHONUNBUFFERED": "1"},
                cwd=ROOT,
            )
            try:
                await host.until_ready(timeout_seconds=READY_SECONDS)
                await self._life()
                if self._is_submitted.is_set():
                    raise await host.until_ended()
                os.killpg(host.pid, signal.SIGKILL)
                self.kills += 1
                await host.until_ended()
            finally:
                await host.stop(grace_seconds=5)

    async def _life(self) -> None:
        """Wait until this host must be killed, or until all messages are submitted and it may stay."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._chance.uniform(*self._plan.kill_seconds)):
                await self._is_submitted.wait()

    # ── the callers ──

    async def _submit_all(self, key: str) -> None:
        numbers = iter(range(self._plan.messages))
        headers = {"Authorization": f"Bearer {key}"}
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:

            async def sender() -> None:
                for number in numbers:
                    await self._submit(session, number)

            await asyncio.gather(*(sender() for _ in range(self._plan.senders)))

    async def _submit(self, session: aiohttp.ClientSession, number: int) -> None:
        """Submit one message: with a key, retry until 202; without one, until a request may have arrived."""
        submission = TrackedSubmission(label=f"message {number}", has_key=number % 2 == 0)
        self.submissions.append(submission)
        is_careful = number % 7 == 0
        body = {
            "from": "app@sender.example",
            "to": [f"person-{number}@example.net"],
            "subject": submission.label,
            "text": "Hello. " * (number % 150 + 1),
            "delivery": "at_most_once" if is_careful else "at_least_once",
            "route": "careful" if is_careful else "main",
        }
        headers = {"Idempotency-Key": f"soak-{number}"} if submission.has_key else {}
        while True:
            seconds = await self._ask(session, submission, body, headers)
            if submission.ids or (submission.requests and not submission.has_key):
                return
            await asyncio.sleep(seconds)

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        submission: TrackedSubmission,
        body: Mapping[str, object],
        headers: Mapping[str, str],
    ) -> float:
        """Send one request. Returns the seconds to wait before the next one."""
        url = f"http://127.0.0.1:{self._port}/v1/messages"
        try:
            async with session.post(url, json=body, headers=headers) as response:
                submission.requests += 1
                answer = await response.read()
                if response.status == 202:
                    submission.ids.append(str(msgspec.json.decode(answer)["id"]))
                elif response.status not in (409, 503):
                    raise AssertionError(f"{submission.label} got {response.status}: {answer[:200]!r}")
                return min(3.0, float(response.headers.get("Retry-After", "1")))
        except aiohttp.ClientConnectorError:
            # Nobody listens: certainly not heard.
            return 0.3
        except (aiohttp.ClientError, TimeoutError):
            submission.requests += 1
            return 0.3

    # ── the end ──

    async def _until_rest(
        self, relay: Relay, serving: asyncio.Task[None], providers: Sequence[SendGridStandIn]
    ) -> Accounting:
        ends_at = time.monotonic() + self._plan.patience_seconds
        while not (await self._read_accounting(relay, providers)).is_at_rest and time.monotonic() < ends_at:
            if serving.done():
                await serving
            await asyncio.sleep(2)
        # Once more: what was accepted during the first reading is included now.
        return await self._read_accounting(relay, providers)

    async def _read_accounting(self, relay: Relay, providers: Sequence[SendGridStandIn]) -> Accounting:
        taken: Counter[str] = Counter()
        for provider in providers:
            taken.update(provider.inbox.by_relay_id)
        for _ in range(BOOKS_TRIES):
            # A busy Azurite may not respond in time; that says nothing about the mail.
            with suppress(Unavailable):
                return await read_accounting(relay, self.submissions, taken)
            await asyncio.sleep(2)
        return await read_accounting(relay, self.submissions, taken)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _settings(main: SendGridStandIn, careful: SendGridStandIn, azurite: Azurite) -> dict[str, str]:
    routes = {
        name: {"provider": "sendgrid", "base_url": standin.url, "timeout_seconds": ANSWER_SECONDS}
        for name, standin in (("main", main), ("careful", careful))
    }
    lanes = {"transactional": {"retry_min_seconds": 1, "retry_max_seconds": 3}}
    return {
        "AzureWebJobsStorage": azurite.connection_string,
        "RELAY_ATTEMPT_SECONDS": str(ATTEMPT_SECONDS),
        "RELAY_LANES": msgspec.json.encode(lanes).decode(),
        "RELAY_ROUTES": msgspec.json.encode(routes).decode(),
        "SENDGRID_API_KEY": DEFAULT_KEY,
    }


def main() -> int:
    """Run a soak with the options of the command line. Returns 1 if a guarantee was violated."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    soak = Soak(Plan(messages=options.messages, seed=options.seed))
    begun = time.monotonic()
    accounting = asyncio.run(soak.run())
    say(f"{soak.kills} kills in {time.monotonic() - begun:.0f} seconds, seed {options.seed}\n\n{accounting.table()}")
    violations = accounting.violations()
    for violation in violations[:100]:
        say(f"BROKEN: {violation}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
