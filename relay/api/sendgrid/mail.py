"""Read a SendGrid mail: each personalization becomes a message.

Relay does what any route can carry: scheduling, substitution tags, merging the mail with its personalizations. Features that
only SendGrid has go into the message's options, and Relay refuses them on other routes.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from relay.acceptance.draft import Draft, Limits
from relay.api.problems import Problems
from relay.api.sendgrid import parts
from relay.api.sendgrid.shape import SendGridMail, read
from relay.api.sendgrid.substitutions import Tags
from relay.core.model import Address, Attachment, Message
from relay.core.shape_check import member_names
from relay.mime.size import estimate_size
from relay.providers.sendgrid.options import SharedOptions

MAX_PERSONALIZATIONS = 1000
MAX_RECIPIENTS = 1000
_CHUNK = 20
"""Read this many messages before yielding to other requests: replacing tags may take milliseconds each."""
_NO_ADDRESS = Address(email="")
_NO_TAGS = Tags({}, {})
_PASSED_ON = member_names(SharedOptions)

type _Block = Mapping[str, Any]


class PersonalizedDraft(msgspec.Struct, frozen=True, kw_only=True):
    """One personalization as a draft. `field` is its place; `own` names the fields that do not come from the mail.

    `size` is the message's size on the wire (`relay.mime.size`).
    """

    draft: Draft
    field: str
    own: frozenset[str]
    size: int


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A request. In sandbox mode it is only checked."""

    drafts: tuple[PersonalizedDraft, ...]
    batch_id: str | None
    is_sandbox: bool


class _Common(msgspec.Struct, frozen=True, kw_only=True):
    """What the personalizations share, read once, and what reading them needs."""

    mail: Mapping[str, Any]
    sender: Address
    subject: str
    content: parts.Content
    attachments: tuple[Attachment, ...]
    headers: Mapping[str, str]
    categories: tuple[str, ...]
    reply_to: tuple[Address, ...]
    options: Mapping[str, Any]
    send_at: datetime | None
    now: datetime
    problems: Problems
    limits: Limits


async def read_mail(value: Any, now: datetime, problems: Problems, limits: Limits) -> Mail:
    """Read the messages of a request. Use them only if `problems` stayed empty."""
    mail = read(value, SendGridMail, problems)
    blocks: Sequence[_Block] = mail.get("personalizations", [])
    _check_counts(blocks, problems)
    common = _common(mail, now, problems, limits)
    drafts: list[PersonalizedDraft] = []
    for number, block in enumerate(blocks[:MAX_PERSONALIZATIONS]):
        if number % _CHUNK == 0:
            await asyncio.sleep(0)
        drafts.append(_personalized(common, block, f"personalizations.{number}"))
    size = sum(personalized.size for personalized in drafts)
    if size > limits.max_batch_bytes and not problems.has("message_too_large"):
        text = f"The messages are too large: {size} bytes together (limit {limits.max_batch_bytes}). Send several requests."
        problems.add("message_too_large", "personalizations", text)
    sandbox = mail.get("mail_settings", {}).get("sandbox_mode", {})
    return Mail(drafts=tuple(drafts), batch_id=mail.get("batch_id"), is_sandbox=sandbox.get("enable") is True)


def _check_counts(blocks: Sequence[_Block], problems: Problems) -> None:
    if not blocks:
        if not problems:
            problems.add("no_recipients", "personalizations", "You must have at least one personalization.")
    elif len(blocks) > MAX_PERSONALIZATIONS:
        text = f"Too many personalizations: {len(blocks)} (limit {MAX_PERSONALIZATIONS}). Send several requests."
        problems.add("too_many", "personalizations", text)
    elif sum(len(block.get(kind, ())) for block in blocks for kind in ("to", "cc", "bcc")) > MAX_RECIPIENTS:
        text = f"There is a limit of {MAX_RECIPIENTS} total recipients (to + cc + bcc) per request."
        problems.add("too_many_recipients", "personalizations", text)


def _common(mail: Mapping[str, Any], now: datetime, problems: Problems, limits: Limits) -> _Common:
    content = parts.read_content(mail.get("content", ()), problems)
    if not (mail.get("content") or _has_template(mail)):
        text = "Unless a valid template_id is provided, the content parameter is required."
        problems.add("no_content", "content", text)
    parts.check_arguments(mail.get("custom_args", {}), "custom_args", problems)
    sender = parts.read_person(mail["from"], "from", problems, limits) if mail.get("from") else None
    return _Common(
        mail=mail,
        sender=sender or _NO_ADDRESS,
        subject=_subject_of_all(mail, problems, limits),
        content=content,
        attachments=parts.read_files(mail.get("attachments", ()), problems, limits),
        headers=parts.read_own_headers(mail.get("headers", {}), "headers", problems, limits),
        categories=parts.read_categories(mail.get("categories", ()), problems),
        reply_to=() if _has_tags(mail) else _reply_to(mail, _NO_TAGS, problems, limits),
        options=_options(mail, content),
        send_at=parts.read_time(mail.get("send_at"), "send_at", now, problems, limits),
        now=now,
        problems=problems,
        limits=limits,
    )


def _has_template(mail: Mapping[str, Any]) -> bool:
    """Check whether a SendGrid template provides subject and content, and replaces the tags."""
    return "template_id" in mail


def _has_tags(mail: Mapping[str, Any]) -> bool:
    is_filled = any(block.get("substitutions") for block in mail.get("personalizations", ()))
    return not _has_template(mail) and (is_filled or bool(mail.get("sections")))


def _subject_of_all(mail: Mapping[str, Any], problems: Problems, limits: Limits) -> str:
    is_used = not all("subject" in block for block in mail.get("personalizations", ()))
    is_required = is_used and not _has_template(mail)
    return parts.read_title(mail.get("subject"), "subject", problems, limits, is_required=is_required)


def _reply_to(mail: Mapping[str, Any], tags: Tags, problems: Problems, limits: Limits) -> tuple[Address, ...]:
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


def _filled(person: Mapping[str, str], tags: Tags) -> Mapping[str, str]:
    return {name: tags.fill(value) for name, value in person.items()}


def _options(mail: Mapping[str, Any], content: parts.Content) -> Mapping[str, Any]:
    """Return the options for SendGrid. Sandbox mode is not among them: Relay itself does not send then."""
    options = {name: mail[name] for name in _PASSED_ON if mail.get(name)}
    settings = {name: value for name, value in mail.get("mail_settings", {}).items() if name != "sandbox_mode"}
    options.pop("mail_settings", None)
    if settings:
        options["mail_settings"] = settings
    if content.others:
        options["content"] = [dict(part) for part in content.others]
    if _has_template(mail) and mail.get("sections"):
        options["sections"] = mail["sections"]
    return options


def _personalized(common: _Common, block: _Block, field: str) -> PersonalizedDraft:
    substitutions = block.get("substitutions", {})
    parts.check_substitutions(substitutions, f"{field}.substitutions", common.problems)
    tags = Tags(substitutions, common.mail.get("sections", {})) if _has_tags(common.mail) else _NO_TAGS
    message = _message(common, block, field, tags)
    size = estimate_size(message)
    if size > common.limits.max_message_bytes and not common.problems.has("message_too_large"):
        text = f"The message is too large: {size} bytes on the wire (limit {common.limits.max_message_bytes})."
        common.problems.add("message_too_large", field, text)
    send_at = common.send_at
    if "send_at" in block:
        send_at = parts.read_time(block["send_at"], f"{field}.send_at", common.now, common.problems, common.limits)
    return PersonalizedDraft(
        draft=Draft(message=message, send_at=send_at), field=field, own=frozenset(block), size=size
    )


def _message(common: _Common, block: _Block, field: str, tags: Tags) -> Message:
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
        reply_to=_reply_to(common.mail, tags, problems, limits) if _has_tags(common.mail) else common.reply_to,
        subject=_subject(common, block, field, tags),
        text=tags.fill(content.text) if content.text and tags else content.text,
        html=tags.fill(content.html) if content.html and tags else content.html,
        headers=_headers(common, block, field),
        attachments=common.attachments,
        tags=common.categories,
        metadata=_arguments(common, block, field),
        options=_own_options(common, block),
    )


def _subject(common: _Common, block: _Block, field: str, tags: Tags) -> str:
    if "subject" not in block and not tags:
        return common.subject
    title = tags.fill(block.get("subject", common.subject))
    where = f"{field}.subject" if "subject" in block else "subject"
    is_required = not _has_template(common.mail)
    return parts.read_title(title, where, common.problems, common.limits, is_required=is_required and bool(title))


def _headers(common: _Common, block: _Block, field: str) -> Mapping[str, str]:
    if not block.get("headers"):
        return common.headers
    own = parts.read_own_headers(block["headers"], f"{field}.headers", common.problems, common.limits)
    names = {name.lower() for name in own}
    return {**{name: value for name, value in common.headers.items() if name.lower() not in names}, **own}


def _arguments(common: _Common, block: _Block, field: str) -> Mapping[str, str]:
    shared: Mapping[str, str] = common.mail.get("custom_args", {})
    if not block.get("custom_args"):
        return shared
    merged = {**shared, **block["custom_args"]}
    parts.check_arguments(merged, f"{field}.custom_args", common.problems)
    return merged


def _own_options(common: _Common, block: _Block) -> Mapping[str, Any]:
    options = dict(common.options)
    if _has_template(common.mail) and block.get("substitutions"):
        options["substitutions"] = block["substitutions"]
    if block.get("dynamic_template_data"):
        options["dynamic_template_data"] = block["dynamic_template_data"]
    return {"sendgrid": options} if options else {}
