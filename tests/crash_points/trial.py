"""One trial: runs a scenario with planned faults until everything is at rest, and checks the accounting."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set

import msgspec

from relay.core.model import State
from relay.core.settings import Settings
from tests.crash_points.accounting import Line
from tests.crash_points.audit import Audit
from tests.crash_points.caller import Caller
from tests.crash_points.faults import Operation
from tests.crash_points.host import Host, Schedule
from tests.crash_points.providers import Account
from tests.crash_points.virtual_time import VirtualLoop
from tests.crash_points.world import Plan, Prepared, World, prepare


class Stage:
    """The objects that a scenario uses."""

    def __init__(self, world: World, caller: Caller) -> None:
        self.world = world
        self.caller = caller

    @property
    def main(self) -> Account:
        """Return the account of the first route."""
        return self.world.accounts["main"]


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A sequence of events.

    `ends` names for each label the states its parts may end in without any fault; `may_end` the ones that a fault may
    lead to besides. `attempts` is how many attempts the parts of a label make without a fault, `most_deaths` how many
    processes may die of a message.
    """

    name: str
    settings: Settings
    accounts: Callable[[], Mapping[str, Account]]
    play: Callable[[Stage], Awaitable[None]]
    ends: Mapping[str, Set[State]]
    may_end: Mapping[str, Set[State]] = {}
    attempts: Mapping[str, int] = {}
    most_deaths: int | None = None


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
    """Runs scenarios; prepares once what they share."""

    def __init__(self) -> None:
        # By identity, and with the settings themselves, so that no other ones can come to have the same.
        self._prepared: dict[int, tuple[Settings, Prepared]] = {}

    def play(self, scenario: Scenario, plans: Sequence[Plan] = ()) -> Result:
        """Run a scenario to its end in a new world."""
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            prepared = self.prepared(runner, scenario.settings)
            return runner.run(_play(virtual(runner), scenario, plans, prepared))

    def prepared(self, runner: asyncio.Runner, settings: Settings) -> Prepared:
        """Return a copy of storage that is set up for these settings."""
        if id(settings) not in self._prepared:
            self._prepared[id(settings)] = settings, runner.run(prepare(virtual(runner), settings))
        return self._prepared[id(settings)][1]


def virtual(runner: asyncio.Runner) -> VirtualLoop:
    """Return the event loop of a runner with virtual time."""
    loop = runner.get_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


async def _play(loop: VirtualLoop, scenario: Scenario, plans: Sequence[Plan], prepared: Prepared) -> Result:
    world = World(loop, scenario.settings, scenario.accounts(), plans=plans)
    world.memory.restore(prepared.storage)
    audit = Audit(world, Caller(world, prepared.key))
    host = Host(world, Schedule(world.clock), audit.ended)
    script = asyncio.ensure_future(scenario.play(Stage(world, audit.caller)))
    script.add_done_callback(lambda _: world.stir())
    serving = asyncio.ensure_future(host.run())
    await audit.until_rest([host], script.done)
    if script.done():
        await script
    trace, hits = tuple(world.trace), tuple(world.hits)
    world.calm()
    violations = await audit.violations([host])
    serving.cancel()
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
