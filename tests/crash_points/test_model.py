"""Model test: the guarantees hold for any order of actions of callers, operators, providers, storage and crashes.

Hypothesis draws scenarios over one or two instances in virtual time, and finds the shortest that violates one.
`RELAY_PROOF_EXAMPLES` makes it draw more, and new ones each time.
"""

import asyncio
import os
import random
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from relay.core.model import DEAD
from relay.core.outcomes import Deferred, PerRecipient, Rejected, Sent
from relay.core.send_request import SendRequest
from tests.crash_points.audit import Audit
from tests.crash_points.caller import Caller
from tests.crash_points.faults import Fault
from tests.crash_points.host import Host, Schedule
from tests.crash_points.providers import Account, Answer, LostResponse
from tests.crash_points.scenarios import ASKABLE, AWAY, ONE_ROUTE, VETTING
from tests.crash_points.trial import Trials, virtual
from tests.crash_points.virtual_time import VirtualLoop
from tests.crash_points.world import MAIN_QUEUE, World

EXAMPLES = int(os.environ.get("RELAY_PROOF_EXAMPLES", "0"))
"""The number of scenarios in the long run; 0 is the short run, which draws the same ones each time."""
SHORT_EXAMPLES, STEPS = 60, 25

LATENCIES = (0.001, 0.004, 0.004, 0.01, 0.05, 0.3, 2.0)
"""Duration of an operation in seconds, drawn for each, so that concurrent work interleaves in any order."""
ANSWERS: tuple[Answer, ...] = (
    Sent(),
    AWAY,
    Deferred(code="rate_limited", retry_after_seconds=30.0),
    Rejected(code="content_refused"),
    LostResponse(was_accepted=True),
    LostResponse(was_accepted=False),
    PerRecipient(outcomes=(((0,), Sent()), ((1,), Deferred(code="recipient_deferred")))),
    PerRecipient(outcomes=(((0,), Rejected(code="recipient_refused")), ((1,), Sent()))),
    VETTING,
)
FAULTS = [fault for fault in Fault if fault is not Fault.STALLED]
"""A stall has scenarios of its own: between the last look at its lease and the request, no process can help itself."""
BOTH = ["ann@example.net", "bob@example.net"]

trials = Trials()


class Course(RuleBasedStateMachine):
    """One world and its possible events."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.loop = virtual(self.runner)
        self.scripts: dict[str, list[Answer]] = {}
        self.tasks: list[asyncio.Task[Any]] = []

    def do[T](self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def ask(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run an action of a caller concurrently."""
        self.tasks.append(self.loop.create_task(work))

    @initialize(seed=st.integers(0, 2**16), instances=st.integers(1, 2), can_ask=st.booleans(), knows=st.booleans())
    def begin(self, seed: int, instances: int, can_ask: bool, knows: bool) -> None:
        chance = random.Random(seed)
        self.main = Account(self.answer, knows_attempts=knows)
        configured = ASKABLE if can_ask else ONE_ROUTE
        self.world = World(
            self.loop, configured, {"main": self.main}, chance=chance, latency=lambda: chance.choice(LATENCIES)
        )
        prepared = trials.prepared(configured)
        self.world.memory.restore(prepared.storage)
        self.caller = Caller(self.world, prepared.key)
        self.audit = Audit(self.world, self.caller)
        schedule = Schedule(self.world.clock)
        self.hosts = [Host(self.world, schedule, self.audit.ended) for _ in range(instances)]
        self.serving = [self.loop.create_task(host.run()) for host in self.hosts]

    def answer(self, request: SendRequest, number: int) -> Answer:
        script = self.scripts[request.message.subject]
        found = script[number - 1] if number <= len(script) else Sent()
        return Sent() if isinstance(found, PerRecipient) and request.recipients != (0, 1) else found

    # ── callers and operators ──

    @rule(
        answers=st.lists(st.sampled_from(ANSWERS), max_size=3),
        count=st.integers(1, 3),
        delivery=st.sampled_from(["at_least_once", "at_most_once"]),
        expires=st.sampled_from([None, 90, 900]),
        ahead=st.sampled_from([0, 0, 60, 300]),
        has_key=st.booleans(),
    )
    def submit(
        self, *, answers: list[Answer], count: int, delivery: str, expires: int | None, ahead: int, has_key: bool
    ) -> None:
        fields: dict[str, Any] = {"to": BOTH, "delivery": delivery}
        if expires is not None:
            fields["expires_in_seconds"] = expires
        if ahead:
            fields["send_at"] = (self.world.clock() + timedelta(seconds=ahead)).isoformat()
        for _ in range(count):
            label = f"message {len(self.scripts) + 1}"
            self.scripts[label] = answers
            self.ask(self.caller.submit(label, key=label.replace(" ", "-") if has_key else "", **fields))

    @rule(pick=st.integers(0, 99))
    def cancel(self, pick: int) -> None:
        if self.caller.submissions:
            self.ask(self.caller.cancel(sorted(self.caller.submissions)[pick % len(self.caller.submissions)]))

    @rule(pick=st.integers(0, 99))
    def redrive(self, pick: int) -> None:
        dead = sorted(
            {part.code for line in self.do(self.audit.read()) for part in line.status.parts if part.state in DEAD}
        )
        if dead:
            body = {"code": dead[pick % len(dead)]}
            self.ask(self.caller.insist("POST", "/v1/deadletters/redrive", body))

    @rule()
    def hold(self) -> None:
        self.ask(self.caller.insist("POST", "/v1/routes/main/hold", {}))

    @rule()
    def release(self) -> None:
        self.ask(self.caller.insist("POST", "/v1/routes/main/release", {}))

    # ── the world ──

    @rule(seconds=st.sampled_from([0.005, 0.05, 0.5, 3.0, 20.0, 70.0, 400.0, 1500.0]))
    def pass_time(self, seconds: float) -> None:
        self.do(self.world.pass_time(seconds))

    @rule(trouble=st.sampled_from([VETTING, Sent()]))
    def probe(self, trouble: Any) -> None:
        """Change the state of the provider's account."""
        self.main.probe = trouble

    @rule(which=st.integers(0, 1))
    def crash(self, which: int) -> None:
        self.hosts[which % len(self.hosts)].crash()

    @rule(fault=st.sampled_from(FAULTS), after=st.integers(1, 15))
    def fail(self, fault: Fault, after: int) -> None:
        self.world.plan(fault, after)

    @rule(seconds=st.sampled_from([5.0, 60.0, 200.0]))
    def lose_storage(self, seconds: float) -> None:
        self.world.lose_storage(seconds)

    @rule()
    def end_leases(self) -> None:
        """Lose the host's leases while its functions run: every entry becomes visible again."""
        self.world.queues.end_leases(MAIN_QUEUE, self.world.clock())

    @rule(pick=st.integers(0, 999))
    def redeliver(self, pick: int) -> None:
        """Put an old entry back, as if it had never been deleted."""
        bodies = self.world.queues.history
        if bodies:
            self.do(self.world.queues.put(MAIN_QUEUE, bodies[pick % len(bodies)]))

    @rule()
    def lose_entries(self) -> None:
        """Lose entries that have a row in `pending`: recovery must put them back."""
        self.do(self.audit.read())
        self.world.queues.lose(MAIN_QUEUE, self.audit.is_pending)

    # ── what must hold ──

    @precondition(lambda self: hasattr(self, "audit"))
    @invariant()
    def nobody_gets_more_than_is_allowed(self) -> None:
        assert self.do(self.audit.excesses()) == []

    def teardown(self) -> None:
        """End all faults, wait until everything is at rest, and check the accounting."""
        try:
            if hasattr(self, "audit"):
                assert self.do(self.rest()) == []
        finally:
            self.runner.close()

    async def rest(self) -> list[str]:
        self.world.calm()
        self.main.probe = Sent()
        await asyncio.gather(*self.tasks)
        await self.caller.insist("POST", "/v1/routes/main/release", {})
        await self.audit.until_rest(self.hosts, lambda: True)
        return await self.audit.violations(self.hosts)


TestPromises = Course.TestCase
TestPromises.settings = settings(
    max_examples=EXAMPLES or SHORT_EXAMPLES,
    stateful_step_count=STEPS,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    print_blob=False,
)
