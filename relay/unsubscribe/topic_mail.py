"""Give messages about a topic their unsubscribe links."""

from collections.abc import Callable, Iterable, Mapping, Set
from functools import partial
from typing import Any

import msgspec

from relay.acceptance.draft import Draft
from relay.acceptance.policy import LinkedMessage
from relay.clients.registry import Client
from relay.core.errors import Problem, Refusal
from relay.core.ids import LENGTH
from relay.core.model import Message, Unsubscribe
from relay.unsubscribe.links import link_of, public_url_problem, with_link
from relay.unsubscribe.token import MAX_GROUPS, Subscriber
from relay.unsubscribe.topics import Topic, Topics

_GROUP = "sendgrid.asm"
"""The option that makes SendGrid write links of its own."""
MAX_GROUP = 2**31 - 1
"""The highest number of a group."""


class TopicMail(msgspec.Struct, frozen=True, kw_only=True):
    """The topics of a request's messages that the client has, by name, and the base URL of their links."""

    client: Client
    topics: Mapping[str, Topic]
    public_url: str

    @property
    def names(self) -> Iterable[str]:
        """The names of the topics."""
        return self.topics

    def linked(self, draft: Draft) -> Callable[[Message], LinkedMessage]:
        """Return a function that adds the link to this draft's message. Raises `Refusal` if it can have no link."""
        if problem := public_url_problem(self.public_url):
            raise Refusal(422, "no_unsubscribe_link", problem, target="unsubscribe")
        problems = list(self._problems(draft))
        if problems:
            raise Refusal(400, "invalid_request", "The message cannot be about this topic.", problems=problems)
        return partial(self._link, draft.topic or "")

    def _problems(self, draft: Draft) -> Iterable[Problem]:
        topic = self.topics.get(draft.topic or "")
        if topic is None:
            text = "The client has no topic of this name. Create it with PUT /v1/topics/{name}."
            yield Problem(code="unknown_topic", target="unsubscribe.topic", message=text)
            return
        group = _group_of(draft.message)
        if group and group != topic.sendgrid_group_id:
            text = f"The topic is not that of this group: its `sendgrid_group_id` is {topic.sendgrid_group_id or 'not set'}."
            yield Problem(code="not_applicable", target="options.sendgrid.asm", message=text)
        if (count := len(_groups_to_display(draft.message))) > MAX_GROUPS:
            text = f"Too many groups: {count} (limit {MAX_GROUPS})."
            yield Problem(code="too_many", target="options.sendgrid.asm.groups_to_display", message=text)

    def _link(self, topic: str, message: Message) -> LinkedMessage:
        groups = tuple(sorted(_groups_to_display(message)))
        subscriber = Subscriber(client=self.client, topic=topic, email=message.recipients[0].email, groups=groups)
        link = link_of(self.public_url, subscriber)
        return LinkedMessage(
            # The id of the message is not known yet; its length is.
            message=with_link(message, f"{link}/{'x' * LENGTH}"),
            unsubscribe=Unsubscribe(topic=topic, link=link),
            replaced=(_GROUP,) if _group_of(message) else (),
        )


async def topic_mail(topics: Topics, client: Client, public_url: str, names: Iterable[str]) -> TopicMail:
    """Read the topics of these names that the client has."""
    known = await topics.of(client.id)
    wanted = dict.fromkeys(names)
    if any(name not in known for name in wanted):
        # A topic may have been made since they were read.
        known = await topics.of(client.id, fresh=True)
    found = {name: known[name] for name in wanted if name in known}
    return TopicMail(client=client, topics=found, public_url=public_url)


def _group_of(message: Message) -> int:
    """Return SendGrid's unsubscribe group of a message; 0 if it names none."""
    group: int = _asm_of(message).get("group_id", 0)
    return group


def _groups_to_display(message: Message) -> Set[int]:
    """Return the groups that SendGrid's page would show, without numbers that cannot be a group."""
    return {group for group in _asm_of(message).get("groups_to_display", ()) if 0 < group <= MAX_GROUP}


def _asm_of(message: Message) -> Mapping[str, Any]:
    asm: Mapping[str, Any] = message.options.get("sendgrid", {}).get("asm", {})
    return asm
