"""A part that is being sent, and what an outcome makes of it."""

from datetime import datetime, timedelta
from typing import Any

from relay.core.model import DeliveryGuarantee, Part, State
from relay.core.outcomes import (
    Outcome,
    PerRecipient,
)
from relay.core.parts import attempt_results, part_states
from relay.core.parts.attempt_results import AttemptResult, RouteHold
from relay.core.settings import Lane
from tests.doubles import START, submission_of

DAY = START + timedelta(days=1)
SENDING = part_states.begin(Part(route="", state=State.QUEUED), "main", START)
LATER = START + timedelta(seconds=3)
SUBMISSION = submission_of()
AT_MOST_ONCE = submission_of(delivery=DeliveryGuarantee.AT_MOST_ONCE)


def result(answer: Outcome | PerRecipient, **fields: Any) -> AttemptResult:
    values: dict[str, Any] = {"provider": "smtp", "at": START, "now": LATER, "lane": Lane(), "jitter": 0.5}
    return AttemptResult(**{**values, "answer": answer, **fields})


def settled(
    answer: Outcome, part: Part = SENDING, submission: Any = SUBMISSION, held: RouteHold | None = None, **fields: Any
) -> Part:
    (after,) = attempt_results.settle(part, submission, result(answer, **fields), held)
    return after


def after(seconds: float) -> datetime:
    return LATER + timedelta(seconds=seconds)
