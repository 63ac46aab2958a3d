"""The shapes of SendGrid's requests: names and JSON types of its contract (the vendor's OpenAPI file tsg_mail_v3).

Fields are named as SendGrid names them in errors: `personalizations.0.to.1.email`. A null counts as absent, as in its service.
"""

from typing import Any

from msgspec import UNSET, UnsetType, field

from relay.api.problems import Problems, printable
from relay.core.shape.check import fits
from relay.providers.sendgrid.options import SharedOptions, VendorShape


class SendGridPerson(VendorShape, frozen=True, kw_only=True):
    """A mailbox."""

    email: str
    name: str | UnsetType = UNSET


class SendGridPersonalization(VendorShape, frozen=True, kw_only=True):
    """One message of a request: its recipients, and values that replace those of the mail."""

    from_: SendGridPerson | UnsetType = field(name="from", default=UNSET)
    to: list[SendGridPerson]
    cc: list[SendGridPerson] | UnsetType = UNSET
    bcc: list[SendGridPerson] | UnsetType = UNSET
    subject: str | UnsetType = UNSET
    headers: dict[str, str] | UnsetType = UNSET
    substitutions: dict[str, str] | UnsetType = UNSET
    dynamic_template_data: dict[str, Any] | UnsetType = UNSET
    custom_args: dict[str, str] | UnsetType = UNSET
    send_at: int | UnsetType = UNSET


class SendGridContent(VendorShape, frozen=True, kw_only=True):
    """A body and its media type."""

    type: str
    value: str


class SendGridAttachment(VendorShape, frozen=True, kw_only=True):
    """A file in base64."""

    content: str
    type: str | UnsetType = UNSET
    filename: str
    disposition: str | UnsetType = UNSET
    content_id: str | UnsetType = UNSET
    contentId: str | UnsetType = UNSET  # noqa: N815 (as the vendor's TypeScript type has it)


class SendGridMail(SharedOptions, frozen=True, kw_only=True):
    """The request of POST /v3/mail/send."""

    personalizations: list[SendGridPersonalization]
    from_: SendGridPerson = field(name="from")
    reply_to: SendGridPerson | UnsetType = UNSET
    reply_to_list: list[SendGridPerson] | UnsetType = UNSET
    subject: str | UnsetType = UNSET
    content: list[SendGridContent] | UnsetType = UNSET
    attachments: list[SendGridAttachment] | UnsetType = UNSET
    headers: dict[str, str] | UnsetType = UNSET
    categories: list[str] | UnsetType = UNSET
    custom_args: dict[str, str] | UnsetType = UNSET
    sections: dict[str, str] | UnsetType = UNSET
    send_at: int | UnsetType = UNSET
    batch_id: str | UnsetType = UNSET


class SendGridStop(VendorShape, frozen=True, kw_only=True):
    """The request of POST /v3/user/scheduled_sends."""

    batch_id: str
    status: str


class SendGridStatus(VendorShape, frozen=True, kw_only=True):
    """The request of PATCH /v3/user/scheduled_sends/{batch_id}."""

    status: str


def read(value: Any, shape: type[VendorShape], problems: Problems) -> dict[str, Any]:
    """Return the object without nulls and without members of an unknown name or a wrong type, which are noted."""
    if fits(value, shape):
        found: dict[str, Any] = value
        return found
    from relay.api.reading.shape_problems import CODES, sentence
    from relay.core.shape.mismatches import examine

    kept, mismatches = examine(value, shape, null_is_absent=True)
    for mismatch in mismatches:
        problems.add(CODES[mismatch.kind], field_of(*mismatch.steps), sentence(mismatch))
    return kept if isinstance(kept, dict) else {}


def field_of(*steps: str | int) -> str:
    """Write a path as SendGrid does: names and numbers with dots between them."""
    return ".".join(printable(str(step)[:80]) for step in steps)


def inner(field: str, name: str | int) -> str:
    """Return the field of a member or an element."""
    return f"{field}.{field_of(name)}" if field else field_of(name)
