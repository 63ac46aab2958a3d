"""Read a SendGrid mail: each personalization becomes a message.

Relay itself does everything that works on all routes: scheduling, substitution tags, merging the mail with its personalizations.
Features that only SendGrid has go into the message's options, and Relay refuses them on other routes.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from relay.acceptance.draft import Limits
from relay.api.problems import Problems
from relay.api.sendgrid import parts
from relay.api.sendgrid.personalizations import (
    Block,
    Common,
    PersonalizedDraft,
    has_template,
    read_personalizations,
    read_reply_to,
)
from relay.api.sendgrid.shape import SendGridMail, read
from relay.api.sendgrid.substitutions import NO_TAGS, TagSets
from relay.core.model import Address
from relay.core.shape.check import member_names
from relay.mime.file_names import files_in_attachments
from relay.platform.concurrency import run_sized
from relay.providers.sendgrid.options import SharedOptions

MAX_PERSONALIZATIONS = 1000
MAX_RECIPIENTS = 1000
MAX_REPLY_TO = 1000
"""SendGrid's limit (the vendor's OpenAPI file tsg_mail_v3: `reply_to_list`)."""
_NO_ADDRESS = Address(email="")
_PASSED_ON = member_names(SharedOptions)
_NOT_PASSED_ON = ("bcc", "spam_check")
"""Settings that SendGrid has retired, but that old programs still switch off."""


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A request to send mail. In sandbox mode it is only checked."""

    drafts: tuple[PersonalizedDraft, ...]
    batch_id: str | None
    is_sandbox: bool


def count_messages(value: Any) -> int:
    """Count the messages of a request, from one to the maximum that may be read."""
    blocks = value.get("personalizations") if isinstance(value, dict) else None
    return max(1, min(len(blocks), MAX_PERSONALIZATIONS)) if isinstance(blocks, list) else 1


async def read_mail(
    value: Any, now: datetime, problems: Problems, limits: Limits, *, size: int = 0, is_rendered: bool = False
) -> Mail:
    """Read the messages of a request. Use them only if `problems` stayed empty.

    `size` is the size of the request in bytes. With `is_rendered` Relay fills in the template that the mail names, not SendGrid.
    """
    mail = read(value, SendGridMail, problems)
    is_countable = _check_counts(mail, problems)
    common = await run_sized(partial(_common, mail, now, problems, limits, is_rendered=is_rendered), size)
    # Reading each of far too many elements would take seconds.
    drafts = await read_personalizations(common, mail.get("personalizations", ()) if is_countable else ())
    sandbox = mail.get("mail_settings", {}).get("sandbox_mode", {})
    return Mail(drafts=tuple(drafts), batch_id=mail.get("batch_id"), is_sandbox=sandbox.get("enable") is True)


def _check_counts(mail: Mapping[str, Any], problems: Problems) -> bool:
    """Note too many or too few messages, recipients or reply addresses. Returns False if there are too many."""
    blocks: Sequence[Block] = mail.get("personalizations", [])
    if not blocks and not problems:
        problems.add("no_recipients", "personalizations", "You must have at least one personalization.")
    before = len(problems.found)
    if len(blocks) > MAX_PERSONALIZATIONS:
        text = f"Too many personalizations: {len(blocks)} (limit {MAX_PERSONALIZATIONS}). Send several requests."
        problems.add("too_many", "personalizations", text)
    elif sum(len(block.get(kind, ())) for block in blocks for kind in ("to", "cc", "bcc")) > MAX_RECIPIENTS:
        text = f"There is a limit of {MAX_RECIPIENTS} total recipients (to + cc + bcc) per request."
        problems.add("too_many_recipients", "personalizations", text)
    people = len(mail.get("reply_to_list", ()))
    if people > MAX_REPLY_TO:
        problems.add("too_many", "reply_to_list", f"Too many addresses: {people} (limit {MAX_REPLY_TO}).")
    return len(problems.found) == before


def _common(mail: Mapping[str, Any], now: datetime, problems: Problems, limits: Limits, *, is_rendered: bool) -> Common:
    content = parts.read_content(mail.get("content", ()), problems)
    if not (mail.get("content") or has_template(mail)):
        text = "Unless a valid template_id is provided, the content parameter is required."
        problems.add("no_content", "content", text)
    parts.check_arguments(mail.get("custom_args", {}), "custom_args", problems)
    if mail.get("mail_settings", {}).get("bcc", {}).get("enable"):
        text = "SendGrid has retired this setting. Use personalizations.0.bcc, which the policy checks."
        problems.add("not_applicable", "mail_settings.bcc", text)
    sender = parts.read_person(mail["from"], "from", problems, limits) if mail.get("from") else None
    attachments = parts.read_files(mail.get("attachments", ()), problems, limits)
    return Common(
        mail=mail,
        tags=TagSets(mail.get("sections", {})) if _has_tags(mail) else None,
        sender=sender or _NO_ADDRESS,
        subject=_subject_of_all(mail, problems, limits),
        content=content,
        attachments=attachments,
        files=files_in_attachments(attachments),
        headers=parts.read_own_headers(mail.get("headers", {}), "headers", problems, limits),
        categories=parts.read_categories(mail.get("categories", ()), problems),
        reply_to=() if _has_tags(mail) else read_reply_to(mail, NO_TAGS, problems, limits),
        options=_options(mail, content, is_rendered=is_rendered),
        is_rendered=is_rendered,
        send_at=parts.read_time(mail.get("send_at"), "send_at", now, problems, limits),
        now=now,
        problems=problems,
        limits=limits,
    )


def _has_tags(mail: Mapping[str, Any]) -> bool:
    is_filled = any(block.get("substitutions") for block in mail.get("personalizations", ()))
    return not has_template(mail) and (is_filled or bool(mail.get("sections")))


def _subject_of_all(mail: Mapping[str, Any], problems: Problems, limits: Limits) -> str:
    is_used = not all("subject" in block for block in mail.get("personalizations", ()))
    is_required = is_used and not has_template(mail)
    return parts.read_title(mail.get("subject"), "subject", problems, limits, is_required=is_required)


def _options(mail: Mapping[str, Any], content: parts.Content, *, is_rendered: bool) -> Mapping[str, Any]:
    """Return the options for SendGrid, without sandbox mode, in which Relay sends nothing."""
    options = {name: mail[name] for name in _PASSED_ON if mail.get(name)}
    given = mail.get("mail_settings", {})
    settings = {name: value for name, value in given.items() if name not in _NOT_PASSED_ON or value.get("enable")}
    settings.pop("sandbox_mode", None)
    options.pop("mail_settings", None)
    if settings:
        options["mail_settings"] = settings
    if content.others:
        options["content"] = [dict(part) for part in content.others]
    if is_rendered:
        options.pop("template_id", None)
    elif has_template(mail) and mail.get("sections"):
        options["sections"] = mail["sections"]
    return options
