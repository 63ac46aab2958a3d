"""Ids of attempts: each is recorded with the id that it was sent with, and a recipient meets none twice, whatever happens."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from relay.core.model import DEAD, WAITING, Part, State
from relay.core.outcomes import Deferred, Outcome, PerRecipient, Rejected, RouteFault, Sent, Unknown
from relay.core.parts import attempt_results, part_history, part_states, put_back
from relay.core.parts.part_history import attempt_id, attempt_of_id, latest_attempt_id
from relay.core.parts.put_back import LaterRefusal
from tests.doubles import START, changed
from tests.unit.core.parts.kit import SUBMISSION, result

NAME = "msg_06eaipl7v9t3n32dbpnn10ci0c0tf2au5r1vr735"
ALL = (0, 1, 2, 3)
OUTCOMES: Sequence[Outcome] = (
    Sent(),
    Unknown(code="response_lost"),
    Deferred(code="rate_limited"),
    Rejected(code="policy_refused"),
    RouteFault(code="bad_credentials"),
)


class Life:
    """The life of one message. `sent` has the ids of its attempts, `reached` those that may have reached each recipient."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = START
        self.parts: Sequence[Part] = (Part(route="main", state=State.QUEUED),)
        self.sent: set[str] = set()
        self.reached: dict[int, list[str]] = {number: [] for number in ALL}

    def step(self) -> None:
        """Let one thing happen to one part, or to all of them."""
        self.now += timedelta(seconds=60)
        at = self.random.randrange(len(self.parts))
        part = self.parts[at]
        if part.state is State.SENDING:
            after = self.end_attempt(part)
        elif part.state in WAITING or part.state is State.QUEUED:
            after = [part_states.begin(each, "main", self.now) for each in self.split(part)]
        elif part.state in DEAD:
            after = [put_back.redrive(part, self.now, 600, None) or part]
        else:
            lost = frozenset(self.some(ALL))
            after = put_back.resend(part, lost, self.now, all_recipients=ALL, lane_expiry_seconds=600, route=None)
        self.parts = (*self.parts[:at], *after, *self.parts[at + 1 :])
        if self.random.random() < 0.3:
            self.report()
        if self.random.random() < 0.2:
            self.parts = part_history.truncate_history(tuple(self.parts))
        assert self.sent.issuperset(attempt_id(NAME, attempt) for part in self.parts for attempt in part.attempts)

    def split(self, part: Part) -> Sequence[Part]:
        """Split a part as routing does."""
        numbers = part.recipients or ALL
        some = self.some(numbers)
        rest = tuple(number for number in numbers if number not in some)
        return [changed(part, recipients=each) for each in (some, rest)] if rest else [part]

    def end_attempt(self, part: Part) -> Sequence[Part]:
        """End an attempt in one of the ways that it may end, and check its record."""
        named, numbers = latest_attempt_id(NAME, part), part.recipients or ALL
        uncertain = part_history.uncertain_attempts(part)
        way = self.random.choice(["died", "postponed", "answered", "answered", "disproved", "verified"])
        if way == "postponed":
            return [part_states.postpone(part, self.now, "rate_limited")]
        if way == "disproved" and uncertain:
            return [part_history.mark_not_sent(part, self.random.choice(uncertain))]
        if way == "verified" and uncertain:
            answer: Outcome | PerRecipient = Sent(verified=self.random.choice(uncertain).accepted_number)
            return attempt_results.settle(part, SUBMISSION, result(answer, now=self.now, at=self.now))
        if way == "died":
            ended: Sequence[Part] = [part_states.begin(part_states.interrupt(part, self.now), "main", self.now)]
        else:
            answer = PerRecipient(outcomes=tuple(((each,), self.random.choice(OUTCOMES)) for each in numbers))
            ended = attempt_results.settle(part, SUBMISSION, result(answer, now=self.now, at=self.now))
        self.sent.add(named)
        for each in ended:
            made = each.attempts[-1]
            assert attempt_id(NAME, made) == named
            assert attempt_of_id(NAME, [each], named) == made.number == part.attempt
            for number in each.recipients or ALL:
                assert named not in self.reached[number]
                self.reached[number] += [named] if made.outcome != "route_fault" else []
        return ended

    def report(self) -> None:
        """Let a provider refuse some recipients of any attempt later."""
        refusal = LaterRefusal(
            attempt=self.random.randint(1, max(part.attempt for part in self.parts) + 1),
            route="main",
            recipients=frozenset(self.some(ALL)),
            code="credits_exhausted",
            reply="550 5.7.233",
            at=self.now,
        )
        self.parts = put_back.put_back_refused(self.parts, refusal, self.now, all_recipients=ALL)

    def some(self, numbers: Sequence[int]) -> tuple[int, ...]:
        chosen = self.random.sample(numbers, self.random.randint(1, len(numbers)))
        return tuple(sorted(chosen))


@given(st.randoms(use_true_random=False))
def test_attempts_are_recorded_with_the_ids_that_they_were_sent_with(random: Random) -> None:
    life = Life(random)
    for _ in range(15):
        life.step()
