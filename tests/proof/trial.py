"""One trial: a scenario played under a plan of faults, until everything has come to rest, and what the books say then."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set

import msgspec

from relay.model import Part, State
from relay.settings import Settings
from relay.storage.memory import StorageSnapshot
from tests.proof import books
from tests.proof.books import Line
from tests.proof.caller import Caller
from tests.proof.faults import Operation
from tests.proof.host import Host
from tests.proof.providers import Account
from tests.proof.virtual_time import VirtualLoop
from tests.proof.world import Plan, Prepared, World, prepare

MAX_SECONDS = 90_000.0
"""Virtual time that a trial may take; expiry comes after a day."""


class Stage:
    """What a scenario acts on."""

    def __init__(self, world: World, caller: Caller) -> None:
        self.world = world
        self.caller = caller

    @property
    def main(self) -> Account:
        """The account of the first route."""
        return self.world.accounts["main"]


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A course of events.

    `ends` names for each label the states its parts may end in without any fault; `may_end` the ones that a fault may
    lead to besides. `attempts` is how many attempts the parts of a label make without a fault.
    """

    name: str
    settings: Settings
    accounts: Callable[[], Mapping[str, Account]]
    play: Callable[[Stage], Awaitable[None]]
    ends: Mapping[str, Set[State]]
    may_end: Mapping[str, Set[State]] = {}
    attempts: Mapping[str, int] = {}


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a trial."""

    lines: Sequence[Line]
    wrongs: Sequence[str]
    hits: Sequence[str]
    trace: Sequence[Operation]

    @property
    def copies(self) -> int:
        """Acceptances beyond the first, over all recipients."""
        return sum(
            max(0, sum(number in taken.recipients for taken in line.taken) - 1)
            for line in self.lines
            for number in range(len(line.message.recipients))
        )


class Trials:
    """Plays scenarios; what they have in common is prepared once."""

    def __init__(self) -> None:
        self._prepared: dict[str, tuple[StorageSnapshot, str]] = {}

    def play(self, scenario: Scenario, plans: Sequence[Plan] = ()) -> Result:
        """Play a scenario to its end in a world of its own."""
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, VirtualLoop)
            if scenario.name not in self._prepared:
                prepared = runner.run(prepare(loop, scenario.settings))
                self._prepared[scenario.name] = prepared.storage, prepared.key
            storage, key = self._prepared[scenario.name]
            return runner.run(_play(loop, scenario, plans, Prepared(storage=storage, key=key)))


async def _play(loop: VirtualLoop, scenario: Scenario, plans: Sequence[Plan], prepared: Prepared) -> Result:
    world = World(loop, scenario.settings, scenario.accounts(), plans)
    world.memory.restore(prepared.storage)
    caller = Caller(world, prepared.key)
    unrecorded: list[str] = []

    async def ended(number: int) -> None:
        unrecorded.extend(await _unrecorded(world, number))

    host = Host(world, ended)
    script = asyncio.ensure_future(scenario.play(Stage(world, caller)))
    lines: list[Line] = []

    async def is_over() -> bool:
        nonlocal lines
        if not script.done() or world.has_writes_under_way:
            return False
        if any(world.queues.bodies(queue) for queue in world.queue_names):
            return False
        lines = await books.read(world.witness.journal, world.memory, world.ledger)
        return books.is_at_rest(lines, world.memory)

    try:
        async with asyncio.timeout(MAX_SECONDS):
            await host.run(is_over)
        restless = []
    except TimeoutError:
        lines = await books.read(world.witness.journal, world.memory, world.ledger)
        restless = ["it never came to rest"]
    world.calm()
    if world.process is None or world.process.is_dead:
        await world.start_process()
    if script.done():
        await script
    trace, hits = tuple(world.trace), tuple(world.hits)
    return Result(
        lines=lines,
        wrongs=[
            *restless,
            *caller.broken_promises,
            *unrecorded,
            *(f"a function raised {text}" for text in host.raised if not text.startswith("Unavailable")),
            *books.wrongs(lines, caller.told, world.dead_processes, world.memory),
            *_ends(scenario, lines, has_fault=bool(hits)),
            *await _answers(caller, lines),
        ],
        hits=hits,
        trace=trace,
    )


async def _unrecorded(world: World, number: int) -> list[str]:
    """What a provider took and said so in this invocation, which has returned, and the journal does not know."""
    found: list[str] = []
    for taken in world.ledger.acceptances:
        if taken.invocation == number and taken.was_answered:
            batch, index = world.place_of(taken.message)
            record = await world.witness.journal.read(batch)
            if taken.provider_id not in books.recorded_in(record.statuses[index]):
                found.append(f"{taken.provider_id} was taken and answered, and the invocation ended without a record")
    return found


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


async def _answers(caller: Caller, lines: Sequence[Line]) -> list[str]:
    """Whether the API tells each caller what the journal holds."""
    by_id, found = {line.id: line for line in lines}, list[str]()
    for told in caller.told.values():
        if told.id is None or told.id not in by_id:
            continue
        response = await caller.insist("GET", f"/v1/messages/{told.id}")
        state = msgspec.json.decode(response.body).get("state")
        if response.status != 200 or state != by_id[told.id].status.state:
            found.append(f"{told.label}: the API answers {response.status} {state}")
    return found


def part_of(line: Line, recipient: int) -> Part:
    """The part that a recipient belongs to."""
    return next(part for part in line.status.parts if part.recipients is None or recipient in part.recipients)
