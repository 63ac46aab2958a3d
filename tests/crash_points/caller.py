"""A client application: it gets responses, or its connections break."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from relay.api.http import Request, Response
from relay.core import ids
from relay.core.errors import NotFound
from tests.crash_points.faults import ProcessDiedError
from tests.crash_points.world import MAIN_QUEUE, World

MAX_REPEATS = 60


class TrackedSubmission(msgspec.Struct, kw_only=True):
    """One submission: the ids in its 202 responses, and how many requests were sent. `resends`: how often it was resent."""

    label: str
    has_key: bool
    requests: int = 0
    ids: list[str] = []
    cancelled: bool = False
    may_be_purged: bool = False
    resends: int = 0

    @property
    def id(self) -> str | None:
        """The first id in a response, if any."""
        return self.ids[0] if self.ids else None


class Caller:
    """An application that submits, polls and cancels; and its operator.

    With `keeps_to_one`, its requests go to one process: only there can they share a put.
    """

    def __init__(self, world: World, key: str) -> None:
        self.submissions: dict[str, TrackedSubmission] = {}
        self.erased: set[str] = set()
        self.purged: set[str] = set()
        self.broken_promises: list[str] = []
        self.keeps_to_one = False
        self._world = world
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Response | None:
        """Send one request to a living process. Returns None when the connection broke."""
        instance = await self._world.living(is_oldest=self.keeps_to_one)
        request = Request(
            method=method,
            path=path.partition("?")[0],
            url=f"http://relay.example{path}",
            headers={**self._headers, **headers},
            query=dict(pair.split("=") for pair in path.partition("?")[2].split("&") if pair),
            body=b"" if body is None else msgspec.json.encode(body),
        )
        try:
            return await instance.process.run(instance.relay.api.handle(request))
        except ProcessDiedError:
            return None

    async def insist(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """Repeat a request until its response is other than 409, 429, 503 or a broken connection."""
        for _ in range(MAX_REPEATS):
            response = await self.ask(method, path, body, **headers)
            if response is not None and response.status not in (409, 429, 503):
                return response
            await asyncio.sleep(_pause(response))
        raise AssertionError(f"{method} {path} never got a response")

    def note_purged(self, label: str) -> None:
        """Expect that nothing is left of a message, because it is older than the retention."""
        self.purged.add(label)
        self.submissions[label].may_be_purged = True

    async def submit(self, label: str, *, key: str = "", repeats: int = MAX_REPEATS, **fields: Any) -> None:
        """Send a message whose subject is `label`: once, or with a key until it gets 202 (at most `repeats` times)."""
        submission = self.submissions.setdefault(label, TrackedSubmission(label=label, has_key=bool(key)))
        body = {"from": "app@sender.example", "to": ["ann@example.net"], "subject": label, "text": "Hello"} | fields
        headers = {"idempotency-key": key} if key else {}
        for _ in range(repeats):
            submission.requests += 1
            response = await self.ask("POST", "/v1/messages", body, **headers)
            if response is not None and response.status == 202:
                await self._note(submission, response)
                return
            assert response is None or response.status in (409, 503), (response.status, response.body)
            if not key:
                return
            await asyncio.sleep(_pause(response))
        assert repeats < MAX_REPEATS, f"{label} never got a response"

    async def submit_batch(self, labels: Sequence[str], *, key: str = "", text: str = "", traced: bool = False) -> None:
        """Send many messages in one request: once, or with a key until it gets 202.

        `traced`: every second try has a trace header, which makes its messages larger.
        """
        submissions = [
            self.submissions.setdefault(label, TrackedSubmission(label=label, has_key=bool(key))) for label in labels
        ]
        message = {"from": "app@sender.example", "to": ["ann@example.net"], "text": text or "Hello. " * 200}
        body = {"messages": [{**message, "subject": label} for label in labels]}
        for _ in range(MAX_REPEATS):
            for each in submissions:
                each.requests += 1
            headers = {"idempotency-key": key} if key else {}
            if traced and submissions[0].requests % 2:
                headers["traceparent"] = f"00-{submissions[0].requests:032x}-{1:016x}-01"
            response = await self.ask("POST", "/v1/messages/batch", body, **headers)
            if response is not None and response.status == 202:
                for each, result in zip(submissions, msgspec.json.decode(response.body)["value"], strict=True):
                    each.ids.append(result["id"])
                return
            assert response is None or response.status in (409, 503), (response.status, response.body)
            if not key:
                return
            await asyncio.sleep(_pause(response))
        raise AssertionError("the batch never got a response")

    async def submit_all(self, *labels: str, **fields: Any) -> None:
        """Send messages concurrently, so that they share an entry."""
        await asyncio.gather(*(self.submit(label, **fields) for label in labels))

    async def cancel(self, label: str) -> None:
        """Cancel a message; retry until the cancellation is confirmed."""
        submission = self.submissions[label]
        for _ in range(10):
            if submission.id is not None:
                response = await self.ask("DELETE", f"/v1/messages/{submission.id}")
                if response is not None and response.status == 200:
                    submission.cancelled = True
                    return
            await asyncio.sleep(2)

    async def resend(self, label: str, sent_until: str) -> None:
        """Resend a sent message; repeat until it is confirmed, and once more, as if the response had been lost."""
        name, body = self.submissions[label].id, {"sent_until": sent_until}
        self.submissions[label].resends = 1
        for _ in range(2):
            await self.insist("POST", f"/v1/messages/{name}/resend", body)

    async def erase(self, recipient: str) -> None:
        """Erase a recipient's messages; repeat until none of them is being sent."""
        for _ in range(MAX_REPEATS):
            in_progress, body = 0, {"recipient": recipient}
            while True:
                step = msgspec.json.decode((await self.insist("POST", "/v1/erase", body)).body)
                in_progress += step["in_progress"]
                if not step["is_more"]:
                    break
                body["cursor"] = step["cursor"]
            if not in_progress:
                self.erased.add(recipient)
                return
            await asyncio.sleep(60)
        raise AssertionError("there was always something that moved")

    async def submit_grouped(self, label: str, group: str, *, send_at: int) -> None:
        """Send a message of a group once, scheduled, by the SendGrid API."""
        submission = self.submissions.setdefault(label, TrackedSubmission(label=label, has_key=False))
        body = {
            "personalizations": [{"to": [{"email": "ann@example.net"}]}],
            "from": {"email": "app@sender.example"},
            "subject": label,
            "content": [{"type": "text/plain", "value": "Hello"}],
            "batch_id": group,
            "send_at": send_at,
        }
        submission.requests += 1
        response = await self.ask("POST", "/v3/mail/send", body)
        if response is not None and response.status == 202:
            submission.ids.append(response.headers["X-Message-Id"])
            return
        assert response is None or response.status == 503, (response.status, response.body)

    async def _note(self, submission: TrackedSubmission, response: Response) -> None:
        name = str(msgspec.json.decode(response.body)["id"])
        submission.ids.append(name)
        if not await self._is_durable(name):
            self.broken_promises.append(f"{submission.label} got 202 but is not in storage")

    async def _is_durable(self, name: str) -> bool:
        batch = ids.parse(name).batch
        if any(batch.encode() in body for body in self._world.queues.bodies(MAIN_QUEUE)):
            return True
        try:
            await self._world.witness.journal.read(batch)
        except NotFound:
            return False
        return True


def _pause(response: Response | None) -> float:
    return 1.0 if response is None else float(response.headers.get("Retry-After", "1"))
