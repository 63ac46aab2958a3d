"""A scripted provider, and the ledger of all mail it accepted: the ground truth of a trial."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import msgspec

from relay.core.outcomes import Deferred, Outcome, PerRecipient, Rejected, RouteFault, Sent, Unknown
from relay.core.send_request import SendRequest
from relay.providers.contract import BounceReport, BounceReports, ReceivedAnswer
from tests.crash_points.faults import Fault, Operation, Process, ProcessDiedError, invocation

SILENCE_SECONDS = 30.0
"""How long the provider's client waits for a response."""


class LostResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A lost response. The provider accepted the message, or it did not."""

    was_accepted: bool


type Answer = Outcome | PerRecipient | LostResponse
type Script = Callable[[SendRequest, int], Answer]
"""Returns the outcome of a send; the number counts the sends of this message by this route, from 1."""
type IsLeased = Callable[[SendRequest], Awaitable[bool]]
"""Returns whether the journal has a lease, which is not over, for the attempt that a request is of."""


def accept_all(request: SendRequest, number: int) -> Answer:
    """Accept every message."""
    return Sent()


class Acceptance(msgspec.Struct, frozen=True, kw_only=True):
    """An acceptance by the provider, whether or not Relay got the response."""

    message: str
    recipients: tuple[int, ...]
    attempt: int
    provider_id: str
    process: int
    invocation: int
    was_confirmed: bool


class Ledger:
    """All acceptances by providers, and the number of sends. `reports_done`: how many reports Relay has read for good."""

    def __init__(self) -> None:
        self.acceptances: list[Acceptance] = []
        self.sends: Counter[tuple[str, str]] = Counter()
        self.checks: Counter[str] = Counter()
        self.reports: list[BounceReport | ReceivedAnswer] = []
        self.reports_done = 0
        self.refused: list[Acceptance] = []
        self.withdrawn: dict[tuple[str, int], Rejected] = {}
        self.version = 0
        self.violations: list[str] = []

    def accept(
        self, request: SendRequest, recipients: tuple[int, ...], process: Process, *, was_confirmed: bool
    ) -> str:
        """Record an acceptance. Returns the provider's id."""
        self.version += 1
        name = f"provider-{self.version}"
        self.acceptances.append(
            Acceptance(
                message=request.id,
                recipients=recipients,
                attempt=request.attempt,
                provider_id=name,
                process=process.number,
                invocation=invocation.get(),
                was_confirmed=was_confirmed,
            )
        )
        return name

    def withdraw(self, acceptance: Acceptance, why: Rejected) -> None:
        """Record that the provider did not send after all what it had accepted."""
        self.version += 1
        self.withdrawn[acceptance.message, acceptance.attempt] = why
        self.acceptances.remove(acceptance)

    def refuse(self, acceptance: Acceptance, numbers: Sequence[int], request: SendRequest) -> None:
        """Record that the provider reports accepted recipients as refused, and does so twice."""
        self.version += 1
        rest = tuple(number for number in acceptance.recipients if number not in numbers)
        self.acceptances.remove(acceptance)
        self.refused.append(acceptance)
        if rest:
            self.acceptances.append(msgspec.structs.replace(acceptance, recipients=rest))
        refused = [request.message.recipients[number].email for number in numbers]
        self.reports += [BounceReport(raw=_report(request, refused), is_by_provider=True)] * 2


def _report(request: SendRequest, refused: Sequence[str]) -> bytes:
    blocks = "".join(
        f"\n\nFinal-Recipient: rfc822;{email}\nAction: failed\nStatus: 5.7.233\n"
        "Diagnostic-Code: smtp;550 5.7.233 Your tenant exceeded its daily limit"
        for email in refused
    )
    return (
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
        f"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns;proof{blocks}\n\n"
        f"--b\nContent-Type: message/rfc822\n\nX-Relay-Id: {request.id}\nX-Relay-Attempt: {request.attempt_id}\n\n--b--\n"
    ).encode()


def refuse_nothing(request: SendRequest) -> Sequence[int]:
    """Refuse no recipient later."""
    return ()


class Account:
    """The provider's account: the result of a probe, and the script. Tests change it while it runs.

    `kills` returns whether the process dies when it sends this request. A response takes `seconds`. `check` returns what
    the provider says later of a message that it accepted; the number counts the questions.
    """

    def __init__(
        self,
        script: Script = accept_all,
        *,
        knows_attempts: bool = True,
        kills: Callable[[SendRequest], bool] = lambda _: False,
        seconds: float = 0.0,
        check: "Script | None" = None,
    ) -> None:
        self.refuses_later: Callable[[SendRequest], Sequence[int]] = refuse_nothing
        self.check = check
        self.script = script
        self.kills = kills
        self.seconds = seconds
        self.probe: Sent | RouteFault = Sent()
        self.knows_attempts = knows_attempts


class ScriptedProvider:
    """One process's connection to an account."""

    def __init__(self, route: str, account: Account, process: Process, ledger: Ledger, is_leased: "IsLeased") -> None:
        self._is_leased = is_leased
        self._route = route
        self._account = account
        self._process = process
        self._ledger = ledger

    async def send(self, request: SendRequest) -> Outcome | PerRecipient:
        """See the contract."""
        fault = await self._process.begin(Operation(name=f"send by {self._route}", is_storage=False))
        if fault is Fault.REFUSED:
            return Deferred(code="provider_unavailable")
        if fault is Fault.TIMED_OUT:
            return await self._silence()
        if self._account.kills(request):
            self._process.die()
            raise ProcessDiedError
        if self._process.has_stalled and fault is not Fault.STALLED and not await self._is_leased(request):
            self._ledger.violations.append(f"{request.message.subject}: was sent after the lease of the attempt")
        self._ledger.sends[self._route, request.id] += 1
        answer = self._account.script(request, self._ledger.sends[self._route, request.id])
        is_lost = fault in (Fault.LOST, Fault.LATE, Fault.DEATH_AFTER)
        response = self._carry_out(request, answer, was_confirmed=not is_lost)
        if fault is Fault.DEATH_AFTER:
            self._process.die()
            raise ProcessDiedError
        if is_lost or isinstance(response, LostResponse):
            return await self._silence()
        await asyncio.sleep(self._account.seconds)
        self._process.raise_if_dead()
        return response

    def _carry_out(self, request: SendRequest, answer: Answer, *, was_confirmed: bool) -> Answer:
        if isinstance(answer, Sent):
            return msgspec.structs.replace(answer, provider_id=self._accept(request, was_confirmed=was_confirmed))
        if isinstance(answer, LostResponse) and answer.was_accepted:
            self._accept(request, was_confirmed=False)
        if isinstance(answer, PerRecipient):
            return PerRecipient(
                outcomes=tuple(
                    (numbers, self._carry_out_some(request, numbers, outcome, was_confirmed=was_confirmed))
                    for numbers, outcome in answer.outcomes
                )
            )
        return answer

    def _accept(self, request: SendRequest, *, was_confirmed: bool) -> str:
        """Accept a message for all its recipients, of which a report refuses some. Returns the provider's id."""
        name = self._ledger.accept(request, request.recipients, self._process, was_confirmed=was_confirmed)
        if refused := self._account.refuses_later(request):
            self._ledger.refuse(self._ledger.acceptances[-1], refused, request)
        return name

    def _carry_out_some(
        self, request: SendRequest, numbers: tuple[int, ...], outcome: Outcome, *, was_confirmed: bool
    ) -> Outcome:
        if not isinstance(outcome, Sent):
            return outcome
        return Sent(provider_id=self._ledger.accept(request, numbers, self._process, was_confirmed=was_confirmed))

    async def _silence(self) -> Outcome:
        await asyncio.sleep(SILENCE_SECONDS)
        self._process.raise_if_dead()
        return Unknown(code="response_lost")

    async def probe(self) -> Sent | RouteFault:
        """See the contract."""
        fault = await self._process.begin(Operation(name=f"probe {self._route}", is_write=False, is_storage=False))
        return self._account.probe if fault is None else RouteFault(code="misconfigured")

    async def verify(self, request: SendRequest, provider_id: str | None) -> Outcome:
        """See the contract. The account responds correctly if it keeps a list of attempts."""
        fault = await self._process.begin(Operation(name=f"ask {self._route}", is_write=False, is_storage=False))
        if fault is not None or not self._account.knows_attempts:
            return Unknown(code="response_lost")
        for known in (*self._ledger.refused, *self._ledger.acceptances):
            if known.message == request.id and known.attempt == request.attempt:
                return self._checked(request, known)
        return self._ledger.withdrawn.get((request.id, request.attempt)) or Deferred(code="provider_unavailable")

    def _checked(self, request: SendRequest, known: Acceptance) -> Outcome:
        if self._account.check is None:
            return Sent(provider_id=known.provider_id)
        self._ledger.checks[known.provider_id] += 1
        answer = self._account.check(request, self._ledger.checks[known.provider_id])
        if isinstance(answer, Sent):
            return msgspec.structs.replace(answer, provider_id=known.provider_id)
        assert isinstance(answer, Rejected), "a check ends in success or failure"
        self._ledger.withdraw(known, answer)
        return answer

    async def read_reports(self, mailbox: str, cursor: str, answers_since: datetime | None = None) -> BounceReports:
        """See the contract. The cursor is the number of reports that were read."""
        await self._process.begin(Operation(name=f"reports of {mailbox}", is_write=False, is_storage=False))
        read = int(cursor or "0")
        self._ledger.reports_done = max(self._ledger.reports_done, read)
        mails = self._ledger.reports[read:]
        return BounceReports(
            found=tuple(mail for mail in mails if isinstance(mail, BounceReport)),
            answers=tuple(mail for mail in mails if isinstance(mail, ReceivedAnswer) and answers_since is not None),
            cursor=str(len(self._ledger.reports)),
            is_more=False,
        )

    async def close(self) -> None:
        """See the contract."""
