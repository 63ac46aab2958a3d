"""Find the topics of SendGrid's unsubscribe groups (`asm`), so that routes of other providers can carry the mail."""

from collections.abc import Sequence

import msgspec

from relay.api.reading.fields import LINK_FIELDS
from relay.api.sendgrid.personalizations import PersonalizedDraft
from relay.api.services import Call
from relay.core.model import Message


async def with_topics(call: Call, drafts: Sequence[PersonalizedDraft]) -> Sequence[PersonalizedDraft]:
    """Give messages with one recipient and a group the topic of the client that names the group.

    The other messages keep the group, which only SendGrid can honor.
    """
    return [await _with_topic(call, personalized) for personalized in drafts]


async def _with_topic(call: Call, personalized: PersonalizedDraft) -> PersonalizedDraft:
    message = personalized.draft.message
    group = message.options.get("sendgrid", {}).get("asm", {}).get("group_id", 0)
    topic = await call.services.topics.of_group(call.client.id, group) if _may_have_link(message) else None
    if topic is None:
        return personalized
    draft = msgspec.structs.replace(personalized.draft, topic=topic.name)
    return msgspec.structs.replace(personalized, draft=draft)


def _may_have_link(message: Message) -> bool:
    return len(message.recipients) == 1 and not any(name.lower() in LINK_FIELDS for name in message.headers)
