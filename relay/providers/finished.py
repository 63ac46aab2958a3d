"""Turn a finished message into text, HTML and files, for an API that does not accept one (decision 0042)."""

from functools import partial

import msgspec

from relay.core.outcomes import Rejected, reply_text
from relay.core.send_request import SendRequest
from relay.platform.concurrency import run_sized


async def as_content(request: SendRequest) -> SendRequest | Rejected:
    """Replace a finished message by its content, and keep its Message-ID. Rejects it if something would be lost.

    Acceptance chooses no route that would lose something, but a redrive may.
    """
    raw = request.message.raw
    if raw is None:
        return request
    from relay.mime.finished.content import rebuild

    found = await run_sized(partial(rebuild, request.message), len(raw))
    if found.losses:
        return Rejected(code="unsupported", reply=reply_text(f"would be lost: {', '.join(found.losses)}"))
    name = found.message_id or request.message_id_header
    return msgspec.structs.replace(request, message=found.message, message_id_header=name)
