"""Send a message that is too large for one request: create a draft, attach the files one by one, then send the draft.

Nothing is sent before the last step, so any earlier failure is certain, and the draft is deleted.
"""

from relay.core.model import Attachment
from relay.core.outcomes import Outcome, Sent, Unknown
from relay.core.send_request import SendRequest
from relay.providers.graph import find_copies
from relay.providers.graph.body import RequestBody, attachment
from relay.providers.graph.mailbox import Mailbox, message_path
from relay.providers.graph.outcomes import before_sending
from relay.providers.graph.upload_session import MIN_BYTES, upload
from relay.providers.http_exchange import HttpResponse, LostResponse


async def send(mailbox: Mailbox, request: SendRequest, request_body: RequestBody) -> Outcome:
    """Send a request through a draft. An unknown outcome has the draft's id, which the sent copy keeps."""
    created = await mailbox.request("POST", "/messages", request_body.body, request_body.content_type)
    draft = _id_of(created)
    if draft is None:
        if isinstance(created, LostResponse) and not created.is_certain:
            await find_copies.discard(mailbox, request.attempt_id)
        return before_sending(mailbox.outcome(created))
    outcome = await _attach_all(mailbox, draft, request.message.attachments)
    if outcome is None:
        outcome = mailbox.outcome(await mailbox.request("POST", f"{message_path(draft)}/send"), provider_id=draft)
    if not isinstance(outcome, Sent | Unknown):
        await mailbox.request("DELETE", message_path(draft))
    return outcome


async def _attach_all(mailbox: Mailbox, draft: str, attachments: tuple[Attachment, ...]) -> Outcome | None:
    for place, item in enumerate(attachments):
        if len(item.content) >= MIN_BYTES:
            problem = await upload(mailbox, draft, place, item)
        else:
            problem = await _attach(mailbox, draft, item)
        if problem is not None:
            return problem
    return None


async def _attach(mailbox: Mailbox, draft: str, item: Attachment) -> Outcome | None:
    result = await mailbox.request("POST", f"{message_path(draft)}/attachments", attachment(item))
    is_there = isinstance(result, HttpResponse) and result.status == 201
    return None if is_there else before_sending(mailbox.outcome(result))


def _id_of(created: object) -> str | None:
    decoded = created.decoded() if isinstance(created, HttpResponse) and created.status == 201 else None
    found = decoded.get("id") if isinstance(decoded, dict) else None
    return found if isinstance(found, str) else None
