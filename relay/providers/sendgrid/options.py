"""Options that only SendGrid supports: `options.sendgrid` of a message, or `options` of a route for all its messages.

Names and types are those of the request body of POST /v3/mail/send (twilio.com/docs/sendgrid/api-reference/mail-send). Fields
that Relay writes (recipients, subject, headers, categories, custom_args, attachments) are not options. SendGrid checks the
lengths, which it may change.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct, UnsetType

from relay.core.shape.check import fits

if TYPE_CHECKING:
    from relay.core.shape.mismatches import Mismatch


class VendorShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON object of SendGrid's API."""


class Asm(VendorShape, frozen=True, kw_only=True):
    """The unsubscribe group of a mail."""

    group_id: int | UnsetType = UNSET
    groups_to_display: list[int] | UnsetType = UNSET


class Switch(VendorShape, frozen=True, kw_only=True):
    """A setting that is on or off."""

    enable: bool | UnsetType = UNSET


class Footer(VendorShape, frozen=True, kw_only=True):
    """A footer for every mail."""

    enable: bool | UnsetType = UNSET
    text: str | UnsetType = UNSET
    html: str | UnsetType = UNSET


class BlindCopy(VendorShape, frozen=True, kw_only=True):
    """A copy of every mail, which SendGrid has retired."""

    enable: bool | UnsetType = UNSET
    email: str | UnsetType = UNSET


class SpamCheck(VendorShape, frozen=True, kw_only=True):
    """A check of the content, which SendGrid has retired."""

    enable: bool | UnsetType = UNSET
    threshold: int | UnsetType = UNSET
    post_to_url: str | UnsetType = UNSET


class MailSettings(VendorShape, frozen=True, kw_only=True):
    """Settings for handling a mail."""

    bypass_list_management: Switch | UnsetType = UNSET
    bypass_spam_management: Switch | UnsetType = UNSET
    bypass_bounce_management: Switch | UnsetType = UNSET
    bypass_unsubscribe_management: Switch | UnsetType = UNSET
    footer: Footer | UnsetType = UNSET
    sandbox_mode: Switch | UnsetType = UNSET
    bcc: BlindCopy | UnsetType = UNSET
    spam_check: SpamCheck | UnsetType = UNSET


class ClickTracking(VendorShape, frozen=True, kw_only=True):
    """Tracking of clicks."""

    enable: bool | UnsetType = UNSET
    enable_text: bool | UnsetType = UNSET


class OpenTracking(VendorShape, frozen=True, kw_only=True):
    """Tracking of opens."""

    enable: bool | UnsetType = UNSET
    substitution_tag: str | UnsetType = UNSET


class SubscriptionTracking(VendorShape, frozen=True, kw_only=True):
    """A link to unsubscribe."""

    enable: bool | UnsetType = UNSET
    text: str | UnsetType = UNSET
    html: str | UnsetType = UNSET
    substitution_tag: str | UnsetType = UNSET


class GoogleAnalytics(VendorShape, frozen=True, kw_only=True):
    """Tracking by Google Analytics."""

    enable: bool | UnsetType = UNSET
    utm_source: str | UnsetType = UNSET
    utm_medium: str | UnsetType = UNSET
    utm_term: str | UnsetType = UNSET
    utm_content: str | UnsetType = UNSET
    utm_campaign: str | UnsetType = UNSET


class TrackingSettings(VendorShape, frozen=True, kw_only=True):
    """Settings for tracking recipients."""

    click_tracking: ClickTracking | UnsetType = UNSET
    open_tracking: OpenTracking | UnsetType = UNSET
    subscription_tracking: SubscriptionTracking | UnsetType = UNSET
    ganalytics: GoogleAnalytics | UnsetType = UNSET


class SharedOptions(VendorShape, frozen=True, kw_only=True):
    """Options that a mail in SendGrid's API has under the same names; Relay passes them on unchanged."""

    template_id: str | UnsetType = UNSET
    ip_pool_name: str | UnsetType = UNSET
    asm: Asm | UnsetType = UNSET
    mail_settings: MailSettings | UnsetType = UNSET
    tracking_settings: TrackingSettings | UnsetType = UNSET


class ContentPart(VendorShape, frozen=True, kw_only=True):
    """A body beyond text and HTML, such as text/calendar or text/x-amp-html."""

    type: str | UnsetType = UNSET
    value: str | UnsetType = UNSET


class Options(SharedOptions, frozen=True, kw_only=True):
    """Every option. `substitutions` and `dynamic_template_data` apply to all recipients."""

    dynamic_template_data: dict[str, Any] | UnsetType = UNSET
    substitutions: dict[str, str] | UnsetType = UNSET
    sections: dict[str, str] | UnsetType = UNSET
    content: list[ContentPart] | UnsetType = UNSET
    send_at: int | UnsetType = UNSET
    batch_id: str | UnsetType = UNSET


PERSONAL = ("substitutions", "dynamic_template_data")
"""Options that SendGrid expects within a personalization."""
_SETTINGS = ("mail_settings", "tracking_settings")
_OPTIONAL = frozenset(("click_tracking", "open_tracking", "ganalytics"))
"""Settings that leave the mail's meaning as it is: routes that do not track ignore them."""


def options_problems(value: Any, where: str) -> list[str]:
    """Return all problems of options, as `path: sentence`; empty if there are none."""
    if value == {}:
        return []
    if fits(value, Options):
        copied = value.get("mail_settings", {}).get("bcc", {}).get("enable")
        hint = f"{where}.mail_settings.bcc: adds a recipient that no policy checks (use the message's own bcc)"
        return [hint] if copied else []
    from relay.core.shape.mismatches import examine

    _, found = examine(value, Options)
    return [f"{_path(where, mismatch)}: {_sentence(mismatch)}" for mismatch in found]


def demands(options: Mapping[str, Any]) -> list[str]:
    """Name the options that need SendGrid: all but tracking, and settings that only switch something off.

    A message that switches a feature off can leave by any route without that feature.
    """
    found = [name for name, value in options.items() if name not in _SETTINGS and value not in ({}, [])]
    for name in _SETTINGS:
        own = options.get(name, {})
        found += [f"{name}.{setting}" for setting in own if setting not in _OPTIONAL and _is_on(own[setting])]
    return found


def bypasses(options: Mapping[str, Any]) -> list[str]:
    """Name the options that make SendGrid send to addresses on its suppression lists."""
    settings = options.get("mail_settings", {})
    return [f"mail_settings.{name}" for name, own in settings.items() if name.startswith("bypass_") and _is_on(own)]


def optional(options: Mapping[str, Any]) -> list[str]:
    """Name the options that are on and that routes of other providers ignore."""
    own = options.get("tracking_settings", {})
    return [f"tracking_settings.{setting}" for setting in own if setting in _OPTIONAL and _is_on(own[setting])]


def _is_on(setting: Mapping[str, Any]) -> bool:
    return any(value is True for value in setting.values())


def _path(where: str, mismatch: "Mismatch") -> str:
    return where + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in mismatch.steps)


def _sentence(mismatch: "Mismatch") -> str:
    if mismatch.kind != "unknown":
        return f"must {'have' if mismatch.kind == 'size' else 'be'} {mismatch.expected}"
    from relay.core.shape.mismatches import near_name

    near = near_name(str(mismatch.steps[-1]), mismatch.names)
    hint = f"did you mean {near}?" if near else f"known: {', '.join(mismatch.names)}"
    return f"is not an option of SendGrid ({hint})"
