"""One trial: runs a scenario with planned faults until everything is at rest, and checks the accounting."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from datetime import timedelta

import msgspec

from relay.core.model import State
from relay.core.settings import Settings
from relay.platform.resources import EVENTS_QUEUE
from tests.crash_points.accounting import Line
from tests.crash_points.audit import Audit
from tests.crash_points.caller import Caller
from tests.crash_points.faults import LATENCY_SECONDS, Operation
from tests.crash_points.host import RECOVERY, Host, Schedule, Trigger
from tests.crash_points.providers import Account
from tests.crash_points.virtual_time import START, VirtualLoop
from tests.crash_points.world import MAIN_QUEUE, POISON_QUEUE, Plan, Prepared, World, prepare

MOST_RUNS = 6
"""How often the timer of a night runs."""
LOOK_SECONDS = 60.0
REPAIR_SECONDS = 1_800.0
"""Longer than leases and the repetition of a lost entry."""


class Stage:
    """The objects that a scenario uses."""

    def __init__(self, world: World, caller: Caller, schedule: Schedule) -> None:
        self.world = world
        self.caller = caller
        self._schedule = schedule

    @property
    def main(self) -> Account:
        """Return the account of the first route."""
        return self.world.accounts["main"]

    async def entries_done(self) -> None:
        """Wait until no entry has been on a queue for a minute: while one is leased, the clock must not skip.

        At most `REPAIR_SECONDS`: an entry that waits for longer is not being repaired.
        """
        queues = self.world.memory.queues
        loop, empty = asyncio.get_running_loop(), 0
        ends_at = loop.time() + REPAIR_SECONDS
        while empty < 2 and loop.time() < ends_at:
            await asyncio.sleep(LOOK_SECONDS)
            empty = 0 if any(queues.bodies(name) for name in (*self.world.queue_names, EVENTS_QUEUE)) else empty + 1

    async def night(self, number: int) -> None:
        """Skip the time until a night, counted from the start. Its timer runs every hour; wait until a run succeeds."""
        timer = self._schedule.timers[-1]
        done, at = timer.succeeded, (START + timedelta(days=number)).replace(hour=2, minute=17)
        look = self.world.poll(5)
        for _ in range(MOST_RUNS):
            self.world.skip_to(at)
            # A process that stands still sleeps in time that is not skipped.
            while timer.next_tick <= at or not timer.is_idle or self.world.has_stalled_process:
                await look.wait(5)
            if timer.succeeded > done:
                return
            at += timedelta(hours=1)
        self.caller.broken_promises.append(f"the timer of night {number} failed {MOST_RUNS} times")


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A sequence of events.

    `ends` names for each label the states its parts may end in without any fault; `may_end` the ones that a fault may
    lead to besides. `attempts` is how many attempts the parts of a label make without a fault, `most_deaths` how many
    processes may die of a message. `skews` has a number for each instance: how many seconds its clock is ahead.
    `latency` is how long an operation takes, `queues` those that have a function.
    """

    name: str
    settings: Settings
    accounts: Callable[[], Mapping[str, Account]]
    play: Callable[[Stage], Awaitable[None]]
    ends: Mapping[str, Set[State]]
    may_end: Mapping[str, Set[State]] = {}
    attempts: Mapping[str, int] = {}
    most_deaths: int | None = None
    triggers: Sequence[Trigger] = RECOVERY
    skews: Sequence[float] = (0.0,)
    latency: float = LATENCY_SECONDS
    queues: Sequence[str] = (MAIN_QUEUE, POISON_QUEUE)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a trial."""

    lines: Sequence[Line]
    violations: Sequence[str]
    hits: Sequence[str]
    trace: Sequence[Operation]

    @property
    def copies(self) -> int:
        """Count acceptances beyond the first, over all recipients."""
        return sum(
            max(0, sum(number in taken.recipients for taken in line.taken) - 1)
            for line in self.lines
            for number in range(len(line.message.recipients))
        )


class Trials:
    """Runs scenarios; prepares once what they share, and keeps results without a fault."""

    def __init__(self) -> None:
        # By identity, and with the settings themselves, so that no other ones can come to have the same.
        self._prepared: dict[int, tuple[Settings, Prepared]] = {}
        self._undisturbed: dict[int, tuple[Scenario, Result]] = {}

    def undisturbed(self, scenario: Scenario) -> Result:
        """Return the result without a fault, which is the same in every repetition."""
        if id(scenario) not in self._undisturbed:
            self._undisturbed[id(scenario)] = scenario, self.play(scenario)
        return self._undisturbed[id(scenario)][1]

    def play(self, scenario: Scenario, plans: Sequence[Plan] = ()) -> Result:
        """Run a scenario to its end in a new world."""
        prepared = self.prepared(scenario.settings)
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            # The pauses after lost races are random; a fault must meet the same operations in every repetition.
            random.seed(scenario.name)
            return runner.run(_play(virtual(runner), scenario, plans, prepared))

    def prepared(self, settings: Settings) -> Prepared:
        """Return a copy of storage that is set up for these settings: in a time of its own, so that all trials begin alike."""
        if id(settings) not in self._prepared:
            with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                self._prepared[id(settings)] = settings, runner.run(prepare(virtual(runner), settings))
        return self._prepared[id(settings)][1]


def virtual(runner: asyncio.Runner) -> VirtualLoop:
    """Return the event loop of a runner with virtual time."""
    loop = runner.get_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


async def _play(loop: VirtualLoop, scenario: Scenario, plans: Sequence[Plan], prepared: Prepared) -> Result:
    world = World(loop, scenario.settings, scenario.accounts(), plans=plans, latency=lambda: scenario.latency)
    world.memory.restore(prepared.storage)
    audit = Audit(world, Caller(world, prepared.key))
    schedule = Schedule(world.clock, scenario.triggers)
    hosts = [
        Host(world, schedule, audit.ended, skew=timedelta(seconds=skew), queues=scenario.queues)
        for skew in scenario.skews
    ]
    script = asyncio.ensure_future(scenario.play(Stage(world, audit.caller, schedule)))
    script.add_done_callback(lambda _: world.stir())
    serving = [asyncio.ensure_future(host.run()) for host in hosts]
    await audit.until_rest(hosts, script.done)
    if script.done():
        await script
    trace, hits = tuple(world.trace), tuple(world.hits)
    world.calm()
    violations = await audit.violations(hosts)
    for task in serving:
        task.cancel()
    violations += _ends(scenario, audit.lines, has_fault=bool(hits))
    deaths = len(world.dead_processes) - len(hits)
    if scenario.most_deaths is not None and deaths > scenario.most_deaths:
        violations.append(f"{deaths} processes died of it")
    return Result(lines=audit.lines, violations=violations, hits=hits, trace=trace)


def _ends(scenario: Scenario, lines: Sequence[Line], *, has_fault: bool) -> list[str]:
    found: list[str] = []
    for line in lines:
        allowed = scenario.ends[line.label] | (scenario.may_end.get(line.label, set()) if has_fault else set())
        for part in line.status.parts:
            if part.state not in allowed:
                found.append(f"{line.label}: ended {part.state} ({part.code}), not {'/'.join(sorted(allowed))}")
            if not has_fault and line.label in scenario.attempts and part.attempt != scenario.attempts[line.label]:
                found.append(f"{line.label}: {part.attempt} attempts, not {scenario.attempts[line.label]}")
    return found
