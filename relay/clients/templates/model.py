"""A template: its sources, its variables, its translations."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

PARTS = ("subject", "text", "html")
MAX_BYTES = 524_288
"""Size of a template as JSON: far below the 1 MiB of a row."""
Kind = Literal["jinja2", "handlebars"]
"""The language of a template."""


class Variable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A declared variable. `default` applies only if it is not required."""

    is_required: bool = True
    default: Any = None
    description: str = ""


class Translation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The parts of a template in another language: `text`, `html` or both. Without a subject it has that of the template."""

    subject: str | None = None
    text: str | None = None
    html: str | None = None


class Template(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version of a template, counted from 1. It has `text`, `html` or both, unless it `is_deleted`.

    `locale` is the language of these parts; `translations` are in others. `test_data` are variables for previews.
    """

    name: str
    version: int
    created_at: datetime
    kind: Kind = "jinja2"
    description: str = ""
    locale: str = ""
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    translations: Mapping[str, Translation] = {}
    variables: Mapping[str, Variable] = {}
    test_data: Mapping[str, Any] = {}
    is_deleted: bool = False
