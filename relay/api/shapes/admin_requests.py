"""The shapes of requests about clients, for operators."""

from typing import Literal

from pydantic import Field

from relay.api.shapes.requests import Shape


class PolicyFields(Shape):
    """What a client may send. What is left out stays as it was; in a new client it is not limited."""

    senders: list[str] | None = Field(
        default=None,
        description="Addresses it may use as From and as return path: `*`, an address, or `*@domain`.",
        examples=[["*@example.com"]],
    )
    recipients: list[str] | None = Field(
        default=None, description="Recipients it may send to, in the same forms.", examples=[["*"]]
    )
    redirect_to: str | None = Field(
        default=None,
        description="Where mail to all other recipients goes instead; without it they are refused. Null ends it.",
        examples=["testers@example.com"],
    )
    routes: list[str] | None = Field(
        default=None, description="Routes it may ask for; none named means all.", examples=[["sendgrid"]]
    )
    lanes: list[str] | None = Field(
        default=None,
        description="Lanes it may use, the first by default; none named means all.",
        examples=[["transactional"]],
    )
    delivery: Literal["at_least_once", "at_most_once"] | None = Field(
        default=None, description="What to do by default when an answer is lost.", examples=["at_least_once"]
    )
    rate_per_minute: int | None = Field(
        default=None, description="Messages a minute. Null ends the limit.", examples=[600], ge=1, le=1_000_000
    )
    daily_quota: int | None = Field(
        default=None,
        description="Messages a day (UTC). Null ends the limit.",
        examples=[50_000],
        ge=1,
        le=1_000_000_000,
    )
    max_bytes: int | None = Field(
        default=None, description="Bytes of a message. Null ends the limit.", examples=[10_000_000], ge=1_000
    )
    refused_attachments: list[str] | None = Field(
        default=None, description="File names that are refused, with `*` for anything.", examples=[["*.exe"]]
    )
    ip_ranges: list[str] | None = Field(
        default=None,
        description="CIDR blocks it may call from; none named means anywhere.",
        examples=[["203.0.113.0/24"]],
    )


class ClientChange(Shape):
    """What to change of a client."""

    role: Literal["client", "operator"] | None = Field(
        default=None, description="`operator` reads and mends everything.", examples=["client"]
    )
    policy: PolicyFields | None = Field(default=None, description="What it may send.")
    principals: list[str] | None = Field(
        default=None,
        description="Microsoft Entra object or application ids that are this client.",
        examples=[["11111111-2222-3333-4444-555555555555"]],
    )
    is_disabled: bool | None = Field(default=None, description="Whether its keys open nothing.", examples=[False])


class ClientRequest(ClientChange):
    """A new client."""

    name: str = Field(
        description="1 to 63 lower-case letters, digits and dashes.",
        examples=["shop"],
        json_schema_extra={"maxLength": 63},
    )


class KeyRequest(Shape):
    """Another key."""

    expires_in_seconds: int | None = Field(
        default=None,
        description="When it stops to work; by default never.",
        examples=[7_776_000],
        ge=60,
        le=315_360_000,
    )
