"""The quick look and pydantic's models give the same answer to every JSON value."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from relay.api.reading.fast_check import _Message, fits_message
from relay.api.shapes.requests import MessageRequest

SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=3)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)
ADDRESS = st.fixed_dictionaries({"email": st.text(max_size=3)}, optional={"name": SCALARS, "e-mail": SCALARS})
MAILBOX = st.text(max_size=3) | ADDRESS | ANYTHING
MAILBOXES = MAILBOX | st.lists(MAILBOX, max_size=3)
CONTENT = st.fixed_dictionaries({}, optional={"$content": SCALARS, "$content-type": SCALARS, "content": SCALARS})
ATTACHMENT = st.fixed_dictionaries(
    {},
    optional={
        "name": SCALARS,
        "content": SCALARS | CONTENT,
        "id": SCALARS,
        "type": SCALARS,
        "disposition": st.sampled_from(["attachment", "inline", "other", None]),
        "content_id": SCALARS,
        "file": SCALARS,
    },
)
TEXTS = st.dictionaries(st.text(max_size=3), SCALARS, max_size=2)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("to", "cc", "bcc", "reply_to"), MAILBOXES),
    **dict.fromkeys(("subject", "text", "html", "lane", "route", "return_path", "template"), SCALARS),
    **dict.fromkeys(("headers", "metadata"), TEXTS | ANYTHING),
    "attachments": st.lists(ATTACHMENT, max_size=2) | ANYTHING,
    "tags": st.lists(SCALARS, max_size=2) | ANYTHING,
    "expires_in_seconds": SCALARS,
    "delivery": st.sampled_from(["at_least_once", "at_most_once", "never", None, 1]),
    "send_at": SCALARS,
    "options": st.dictionaries(st.text(max_size=3), TEXTS | SCALARS, max_size=2) | ANYTHING,
    "variables": ANYTHING,
    "dry_run": SCALARS,
    "form": SCALARS,
}
MESSAGES = st.fixed_dictionaries({}, optional={"from": MAILBOX, **FIELDS})
NEARLY_RIGHT = st.fixed_dictionaries({"from": st.text(max_size=3)}, optional=FIELDS)


def admits(value: object) -> bool:
    try:
        MessageRequest.model_validate(value)
    except ValidationError:
        return False
    return True


@given(MESSAGES | NEARLY_RIGHT | ANYTHING)
def test_both_admit_the_same(value: object) -> None:
    assert fits_message(value) is admits(value)


@given(st.sampled_from(sorted(FIELDS)).flatmap(lambda name: FIELDS[name].map(lambda value: {"from": "a", name: value})))
def test_both_admit_the_same_value_of_each_field(value: object) -> None:
    assert fits_message(value) is admits(value)


def test_both_have_the_same_fields() -> None:
    fields = {field.alias or name for name, field in MessageRequest.model_fields.items()}
    assert set(_Message.__struct_encode_fields__) == fields
