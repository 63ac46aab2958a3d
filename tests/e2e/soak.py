"""The soak: thousands of messages through real processes, while hosts die and stand still, and storage and providers fail.

Azurite and two local hosts run as processes, SendGrid's stand-in on loopback. At random (seeded) moments a host is killed with
SIGKILL and started again, or stopped with SIGSTOP for longer than its leases; Azurite is stopped for seconds, and a proxy
before it loses responses. The stand-in returns 429, 500 and 504, hangs, cuts connections, and takes messages without saying
so. At the end the accounts are done, printed as a table, and every breach of a promise is named.

`make soak`, or `python -m tests.e2e.soak --messages 50000 --seed 7`. docs/delivery-semantics.md says how to read the table.
"""

import argparse
import asyncio
import itertools
import os
import random
import re
import signal
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
from standins.inbox import Inbox
from standins.sendgrid.server import DEFAULT_KEY, SendGridStandIn
from standins.smtp.server import SmtpStandIn
from tests.e2e.lossy_proxy import LossyProxy
from tests.e2e.running import ROOT, first_key
from tests.e2e.soak_accounting import Accounting, TrackedSubmission, read_accounting
from tests.e2e.soak_requests import RAW_DOMAIN, SoakRequest, request_of
from tests.ports import free_port

HOSTS = 2
STOPPED_SECONDS = 14.0
"""How long a host stands still: longer than its leases."""
PAUSED_SECONDS = (0.5, 1.5)
PAUSE_EVERY_SECONDS = (4.0, 9.0)
STOP_SHARE = 0.3
LEAST_KILLS = 2
LEASE_SECONDS = 12
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
    """How much at least, and how wild. `kill_seconds`: the shortest and longest life of a host while messages are submitted.

    `loss`: how many of the responses of storage are lost while messages are submitted. An entry whose delivery storage did not
    confirm comes again after a minute, so a short run has none.

    With `is_gentle` the route of the at_most_once messages loses no responses: Relay would verify them a minute later.
    """

    messages: int
    seed: int = 1
    senders: int = 24
    kill_seconds: tuple[float, float] = (3.0, 9.0)
    patience_seconds: float = 600.0
    loss: float = 0.005
    is_gentle: bool = False


class Soak:
    """One run."""

    def __init__(self, plan: Plan) -> None:
        self.submissions: list[TrackedSubmission] = []
        self.kills = self.stops = self.pauses = self.lost = 0
        self._plan = plan
        self._chance = random.Random(plan.seed)
        self._is_submitted = asyncio.Event()
        self._ports = [free_port() for _ in range(HOSTS)]

    def summary(self) -> str:
        """Say what happened to the processes."""
        return (
            f"{self.kills} kills and {self.stops} stops of a host, {self.pauses} stops of Azurite, "
            f"{self.lost} lost responses of storage"
        )

    async def run(self) -> Accounting:
        """Submit messages and kill hosts, wait until all messages have ended, and return the accounting."""
        async with AsyncExitStack() as exits:
            azurite = await Azurite.start()
            exits.push_async_callback(azurite.stop)
            main = await exits.enter_async_context(SendGridStandIn(lean=True))
            careful = await exits.enter_async_context(SendGridStandIn(lean=True))
            raw = await exits.enter_async_context(SmtpStandIn(tls="none", users={}))
            main.script.chaos(self._plan.seed, WILD_CHAOS)
            careful.script.chaos(self._plan.seed + 1, MODEST_CHAOS if self._plan.is_gentle else WILD_CHAOS)
            environment = {
                **os.environ,
                **_settings(main, careful, raw),
                "AzureWebJobsStorage": azurite.connection_string,
            }
            key = await first_key(environment)
            relay = start(environment)
            exits.push_async_callback(relay.close)
            proxy = LossyProxy(azurite.connection_string, random.Random(self._plan.seed), loss=self._plan.loss)
            await exits.enter_async_context(proxy)
            hosts_environment = {**environment, "AzureWebJobsStorage": proxy.connection_string}
            serving = [asyncio.create_task(self._serve(number, hosts_environment)) for number in range(HOSTS)]
            pausing = asyncio.create_task(self._pause(azurite))
            for task in (*serving, pausing):
                exits.push_async_callback(_cancelled, task)
            await self._submit_all(key)
            self._is_submitted.set()
            await pausing
            self.lost, proxy.loss = proxy.lost, 0.0
            return await self._until_rest(relay, serving, (main.inbox, careful.inbox, raw.inbox))

    # ── the host ──

    async def _serve(self, number: int, environment: Mapping[str, str]) -> None:
        """Start and kill a host repeatedly; the last one lives."""
        while True:
            host = await Child.start(
                name="the local host",
                argv=(
                    *(sys.executable, "-m", "devhost", "--port", str(self._ports[number])),
                    *("--lease-seconds", str(LEASE_SECONDS)),
                ),
                ready=_READY,
                env={**environment, "PYTHONUNBUFFERED": "1"},
                cwd=ROOT,
            )
            try:
                await host.until_ready(timeout_seconds=READY_SECONDS)
                await self._life()
                if not self._is_submitted.is_set() and self._stops_next(number):
                    await self._stand_still(host)
                    await self._life()
                if self._is_submitted.is_set():
                    raise await host.until_ended()
                os.killpg(host.pid, signal.SIGKILL)
                self.kills += 1
                await host.until_ended()
            finally:
                await host.stop(grace_seconds=5)

    def _stops_next(self, number: int) -> bool:
        """Whether this host stands still before it is killed: the last one the first time, any of them later."""
        return (number == HOSTS - 1) if not self.stops else self._chance.random() < STOP_SHARE

    async def _stand_still(self, host: Child) -> None:
        """Stop a host's processes for longer than its leases, and let them go on."""
        os.killpg(host.pid, signal.SIGSTOP)
        try:
            self.stops += 1
            await asyncio.sleep(STOPPED_SECONDS)
        finally:
            os.killpg(host.pid, signal.SIGCONT)

    async def _pause(self, azurite: Azurite) -> None:
        """Stop Azurite for seconds, again and again, until all messages are submitted."""
        while not self._is_submitted.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._chance.uniform(*PAUSE_EVERY_SECONDS)):
                    await self._is_submitted.wait()
                    return
            os.killpg(azurite.child.pid, signal.SIGSTOP)
            try:
                self.pauses += 1
                await asyncio.sleep(self._chance.uniform(*PAUSED_SECONDS))
            finally:
                os.killpg(azurite.child.pid, signal.SIGCONT)

    async def _life(self) -> None:
        """Wait until this host must be killed, or until all messages are submitted and it may stay."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._chance.uniform(*self._plan.kill_seconds)):
                await self._is_submitted.wait()

    # ── the callers ──

    def _is_needed(self, number: int) -> bool:
        """Whether to send the request of this number: until there were enough, and every kind of accident."""
        return number < self._plan.messages or self.kills < LEAST_KILLS or not (self.stops and self.pauses)

    async def _submit_all(self, key: str) -> None:
        numbers = itertools.takewhile(self._is_needed, itertools.count())
        headers = {"Authorization": f"Bearer {key}"}
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:

            async def sender() -> None:
                for number in numbers:
                    await self._submit(session, number)

            await asyncio.gather(*(sender() for _ in range(self._plan.senders)))

    async def _submit(self, session: aiohttp.ClientSession, number: int) -> None:
        """Submit one request: with a key, retry until 202; without one, until it may have arrived. Cancel some messages."""
        request = request_of(number)
        self.submissions += request.submissions
        lead = request.submissions[0]
        while True:
            seconds = await self._ask(session, request)
            if lead.ids or (lead.requests and not lead.has_key):
                break
            await asyncio.sleep(seconds)
        if request.is_cancelled and lead.ids:
            await self._cancel(session, lead)

    async def _ask(self, session: aiohttp.ClientSession, request: SoakRequest) -> float:
        """Send one request to one of the hosts. Returns the seconds to wait before the next one."""
        try:
            async with session.post(self._url(request.path), data=request.body, headers=request.headers) as response:
                request.count()
                answer = await response.read()
                if response.status == 202:
                    request.note_ids(answer)
                elif response.status not in (409, 503):
                    raise AssertionError(f"{request.path} got {response.status}: {answer[:200]!r}")
                return min(3.0, float(response.headers.get("Retry-After", "1")))
        except aiohttp.ClientConnectorError:
            # Nobody listens: certainly not heard.
            return 0.3
        except (aiohttp.ClientError, TimeoutError):
            request.count()
            return 0.3

    async def _cancel(self, session: aiohttp.ClientSession, submission: TrackedSubmission) -> None:
        """Cancel a scheduled message. What was cancelled for certain must never be sent."""
        with suppress(aiohttp.ClientError, TimeoutError):
            async with session.delete(self._url(f"/v1/messages/{submission.ids[0]}")) as response:
                submission.cancelled = response.status == 200

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._chance.choice(self._ports)}{path}"

    # ── the end ──

    async def _until_rest(
        self, relay: Relay, serving: Sequence[asyncio.Task[None]], inboxes: Sequence[Inbox]
    ) -> Accounting:
        ends_at = time.monotonic() + self._plan.patience_seconds
        while not (await self._read_accounting(relay, inboxes)).is_at_rest and time.monotonic() < ends_at:
            for ended in (task for task in serving if task.done()):
                await ended
            await asyncio.sleep(2)
        # Once more: what was accepted during the first reading is included now.
        return await self._read_accounting(relay, inboxes)

    async def _read_accounting(self, relay: Relay, inboxes: Sequence[Inbox]) -> Accounting:
        taken: Counter[str] = Counter()
        for inbox in inboxes:
            taken.update(inbox.by_relay_id)
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


def _settings(main: SendGridStandIn, careful: SendGridStandIn, raw: SmtpStandIn) -> dict[str, str]:
    routes: dict[str, dict[str, object]] = {
        name: {"provider": "sendgrid", "base_url": standin.url, "timeout_seconds": ANSWER_SECONDS}
        for name, standin in (("main", main), ("careful", careful))
    }
    # SendGrid takes no finished messages.
    routes["raw"] = {"provider": "smtp", "host": "127.0.0.1", "port": raw.port, "tls": "none", "private": True}
    rules = [{"when": {"sender_domains": [RAW_DOMAIN]}, "routes": ["raw"]}, {"routes": ["main"]}]
    lanes = {"transactional": {"retry_min_seconds": 1, "retry_max_seconds": 3}}
    return {
        "RELAY_ATTEMPT_SECONDS": str(ATTEMPT_SECONDS),
        "RELAY_LANES": msgspec.json.encode(lanes).decode(),
        "RELAY_ROUTES": msgspec.json.encode(routes).decode(),
        "RELAY_ROUTING": msgspec.json.encode(rules).decode(),
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
    say(f"{soak.summary()}, in {time.monotonic() - begun:.0f} seconds, seed {options.seed}\n\n{accounting.table()}")
    violations = accounting.violations()
    for violation in violations[:100]:
        say(f"BROKEN: {violation}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
