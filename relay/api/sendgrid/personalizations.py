"""Read the personalizations of a SendGrid mail, each as a message of its own, until they exceed a limit together."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from relay.acceptance.draft import Draft, Limits
from relay.api.problems import Problems
from relay.api.reading.fields import read_locale, read_open_object
from relay.api.sendgrid import parts
from relay.api.sendgrid.substitutions import NO_TAGS, Tags, TagSets, TooMuch
from relay.core.model import Address, Attachment, Message
from relay.mime.file_names import Files
from relay.mime.size import estimate_size

_CHUNK = 20
"""Read this many messages before yielding to other requests."""
_ADDRESS_STEPS = 100
"""The cost of reading an address, in steps of replacing tags."""

type Block = Mapping[str, Any]


class PersonalizedDraft(msgspec.Struct, frozen=True, kw_only=True):
    """One personalization as a draft. `field` is its place; `own` names the fields that do not come from the mail.

    `size` is the message's size on the wire (`relay.mime.size`).
    """

    draft: Draft
    field: str
    own: frozenset[str]
    size: int


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """The values that the personalizations share, read once, and the inputs for reading them."""

    mail: Mapping[str, Any]
    tags: TagSets | None
    sender: Address
    subject: str
    content: parts.Content
    attachments: tuple[Attachment, ...]
    files: Files
    headers: Mapping[str, str]
    categories: tuple[str, ...]
    reply_to: tuple[Address, ...]
    options: Mapping[str, Any]
    is_rendered: bool
    """Whether Relay has the template, and fills it in."""
    send_at: datetime | None
    now: datetime
    problems: Problems
    limits: Limits


def has_template(mail: Mapping[str, Any]) -> bool:
    """Check whether a SendGrid template provides subject and content, and replaces the tags."""
    return "template_id" in mail


async def read_personalizations(common: Common, blocks: Sequence[Block]) -> list[PersonalizedDraft]:
    """Read the messages. Stops at the message that exceeds a limit of the whole request, and notes that."""
    drafts: list[PersonalizedDraft] = []
    room = _Room(common)
    for first in range(0, len(blocks), _CHUNK):
        chunk = list(enumerate(blocks[first : first + _CHUNK], first))
        read = partial(_read, common, chunk, room)
        # Replacing tags may block the event loop for too long.
        drafts += await asyncio.to_thread(read) if common.tags is not None else read()
        if room.is_full:
            break
        await asyncio.sleep(0)
    return drafts


class _Room:
    """The bytes left for all messages of a request together, on the wire and in options."""

    def __init__(self, common: Common) -> None:
        self._each = len(msgspec.json.encode(common.options)) if common.options else 0
        self._size = 0
        self._common = common
        self.is_full = False

    def take(self, size: int) -> None:
        """Count a message, and note if it exceeds the limit."""
        self._size += size + self._each
        limit = self._common.limits.max_batch_bytes
        if self._size > limit:
            text = f"The messages are too large together: more than {limit} bytes. Send several requests."
            self.close("message_too_large", "personalizations", text)

    def close(self, code: str, field: str, text: str) -> None:
        """Note the reason why the rest of the request is not read."""
        self.is_full = True
        if not self._common.problems.has(code):
            self._common.problems.add(code, field, text)


def _read(common: Common, blocks: Sequence[tuple[int, Block]], room: _Room) -> list[PersonalizedDraft]:
    drafts: list[PersonalizedDraft] = []
    for number, block in blocks:
        field = f"personalizations.{number}"
        try:
            drafts.append(_personalized(common, block, field))
            room.take(drafts[-1].size)
        except TooMuch as reason:
            room.close(
                "too_large", "sections" if common.mail.get("sections") else f"{field}.substitutions", str(reason)
            )
        if room.is_full:
            break
    return drafts


def read_reply_to(mail: Mapping[str, Any], tags: Tags, problems: Problems, limits: Limits) -> tuple[Address, ...]:
    """Read Reply-To, with its tags replaced."""
    if "reply_to" in mail and "reply_to_list" in mail:
        text = "The reply_to and reply_to_list parameters can not be used together."
        problems.add("not_applicable", "reply_to_list", text)
    if "reply_to_list" in mail:
        people = [_filled(person, tags) for person in mail["reply_to_list"]]
        return parts.read_people(people, "reply_to_list", problems, limits)
    if not mail.get("reply_to"):
        return ()
    person = parts.read_person(_filled(mail["reply_to"], tags), "reply_to", problems, limits)
    return (person,) if person is not None else ()


def _own_reply_to(common: Common, tags: Tags) -> tuple[Address, ...]:
    if common.tags is None:
        return common.reply_to
    common.tags.charge(_ADDRESS_STEPS * len(common.mail.get("reply_to_list", ())))
    return read_reply_to(common.mail, tags, common.problems, common.limits)


def _filled(person: Mapping[str, str], tags: Tags) -> Mapping[str, str]:
    return {name: tags.fill(value) for name, value in person.items()}


def _personalized(common: Common, block: Block, field: str) -> PersonalizedDraft:
    substitutions = block.get("substitutions", {})
    parts.check_substitutions(substitutions, f"{field}.substitutions", common.problems)
    tags = common.tags.of(substitutions) if common.tags is not None else NO_TAGS
    message = _message(common, block, field, tags)
    size = estimate_size(message)
    if size > common.limits.max_message_bytes and not common.problems.has("message_too_large"):
        text = f"The message is too large: {size} bytes on the wire (limit {common.limits.max_message_bytes})."
        common.problems.add("message_too_large", field, text)
    send_at = common.send_at
    if "send_at" in block:
        send_at = parts.read_time(block["send_at"], f"{field}.send_at", common.now, common.problems, common.limits)
    variables = _variables(common, block, field)
    draft = Draft(
        message=message,
        send_at=send_at,
        variables=variables,
        locale=read_locale(variables.get("locale"), field, Problems(), common.limits),
        file_names=common.files.names,
        opaque_parts=common.files.opaque,
    )
    return PersonalizedDraft(draft=draft, field=field, own=frozenset(block), size=size)


def _variables(common: Common, block: Block, field: str) -> Mapping[str, Any]:
    """Read the values for a template that Relay fills in."""
    if not common.is_rendered:
        return {}
    if block.get("substitutions"):
        text = "Substitutions can not be used with a dynamic template. Use dynamic_template_data."
        common.problems.add("not_applicable", f"{field}.substitutions", text)
    limits, target = common.limits, f"{field}.dynamic_template_data"
    given = block.get("dynamic_template_data")
    return read_open_object(given, target, limits.max_variables_bytes, common.problems, limits)


def _message(common: Common, block: Block, field: str, tags: Tags) -> Message:
    problems, limits, content = common.problems, common.limits, common.content
    to, cc, bcc = (
        parts.read_people(block.get(kind, ()), f"{field}.{kind}", problems, limits) for kind in ("to", "cc", "bcc")
    )
    if block.get("to") == []:
        text = "The to array is required for all personalization objects, and must have at least one email object."
        problems.add("no_recipients", f"{field}.to", text)
    parts.check_unique((*to, *cc, *bcc), field, problems)
    sender = parts.read_person(block["from"], f"{field}.from", problems, limits) if block.get("from") else None
    return Message(
        sender=sender or common.sender,
        to=to,
        cc=cc,
        bcc=bcc,
        reply_to=_own_reply_to(common, tags),
        subject=_subject(common, block, field, tags),
        text=tags.fill(content.text) if content.text and tags else content.text,
        html=tags.fill(content.html) if content.html and tags else content.html,
        calendar=tags.fill(content.calendar) if content.calendar and tags else content.calendar,
        headers=_headers(common, block, field),
        attachments=common.attachments,
        tags=common.categories,
        metadata=_arguments(common, block, field),
        options=_own_options(common, block),
    )


def _subject(common: Common, block: Block, field: str, tags: Tags) -> str:
    if "subject" not in block and not tags:
        return common.subject
    title = tags.fill(block.get("subject", common.subject))
    where = f"{field}.subject" if "subject" in block else "subject"
    is_required = not has_template(common.mail)
    return parts.read_title(title, where, common.problems, common.limits, is_required=is_required and bool(title))


def _headers(common: Common, block: Block, field: str) -> Mapping[str, str]:
    if not block.get("headers"):
        return common.headers
    own = parts.read_own_headers(block["headers"], f"{field}.headers", common.problems, common.limits)
    names = {name.lower() for name in own}
    return {**{name: value for name, value in common.headers.items() if name.lower() not in names}, **own}


def _arguments(common: Common, block: Block, field: str) -> Mapping[str, str]:
    shared: Mapping[str, str] = common.mail.get("custom_args", {})
    if not block.get("custom_args"):
        return shared
    merged = {**shared, **block["custom_args"]}
    parts.check_arguments(merged, f"{field}.custom_args", common.problems)
    return merged


def _own_options(common: Common, block: Block) -> Mapping[str, Any]:
    options = dict(common.options)
    if has_template(common.mail) and block.get("substitutions") and not common.is_rendered:
        options["substitutions"] = block["substitutions"]
    if block.get("dynamic_template_data") and not common.is_rendered:
        options["dynamic_template_data"] = block["dynamic_template_data"]
    return {"sendgrid": options} if options else {}
