"""The reader that explains mismatches agrees with `msgspec.convert`, and explains all of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.api.problems import Problems
from relay.api.reading.body import check_shape
from relay.api.shapes.base import Shape
from relay.api.shapes.clients import PolicyFields
from relay.api.shapes.requests import BatchEnvelope, MessageRequest, RescheduleRequest
from relay.api.shapes.suppressions import SuppressionImport
from relay.api.shapes.templates import PreviewRequest
from relay.core.shape import mismatches
from relay.core.shape.check import fits
from relay.core.shape.mismatches import examine

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


@given(MESSAGES | NEARLY_RIGHT | ANYTHING)
def test_value_that_does_not_fit_has_a_mismatch_and_no_other_has(value: object) -> None:
    _, found = examine(value, MessageRequest)
    assert fits(value, MessageRequest) is not bool(found)


@given(st.sampled_from(sorted(FIELDS)).flatmap(lambda name: FIELDS[name].map(lambda value: {"from": "a", name: value})))
def test_each_field_that_does_not_fit_has_a_mismatch_and_no_other_has(value: object) -> None:
    _, found = examine(value, MessageRequest)
    assert fits(value, MessageRequest) is not bool(found)


@given(MESSAGES | NEARLY_RIGHT)
def test_kept_part_of_a_message_lacks_at_most_required_members(value: object) -> None:
    kept, _ = examine(value, MessageRequest)
    assert {each.kind for each in examine(kept, MessageRequest)[1]} <= {"missing"}


NUMBER_HINT = "Expected a string, got a number. Put it in quotes."
MAILBOX_HINT = "a string such as Name <a@example.com>, or an object with email and name"


@pytest.mark.parametrize(
    ("shape", "value", "expected"),
    [
        (MessageRequest, [], [("wrong_type", "$", "Expected an object, got an array.")]),
        (
            MessageRequest,
            {"subject": 5, "dry_run": 1, "tags": ["a", 2.5], "metadata": {"a": None}, "from": "a"},
            [
                ("wrong_type", "subject", NUMBER_HINT),
                ("wrong_type", "tags[1]", NUMBER_HINT),
                ("wrong_type", "metadata.a", "Expected a string, got null."),
                ("wrong_type", "dry_run", "Expected true or false, got a number."),
            ],
        ),
        (
            MessageRequest,
            {"from": True, "to": [{"email": "a"}, 7], "delivery": "never"},
            [
                ("wrong_type", "from", f"Expected {MAILBOX_HINT}, got true or false."),
                ("wrong_type", "to[1]", f"Expected {MAILBOX_HINT}, got a number."),
                ("invalid_choice", "delivery", "Must be one of: at_least_once, at_most_once."),
            ],
        ),
        (
            MessageRequest,
            {"to": {"address": "a"}, "from": "a", "attachments": [{"filename": "a"}], "body": "x"},
            [
                (
                    "required",
                    "to.email",
                    "This field is required. The address. Domains and local parts may use any script.",
                ),
                ("unknown_field", "to.address", "Unknown field `address`. Did you mean `email`?"),
                ("unknown_field", "attachments[0].filename", "Unknown field `filename`. Did you mean `name`?"),
                ("unknown_field", "body", "Unknown field `body`. Did you mean `text` or `html`?"),
            ],
        ),
        (PreviewRequest, {"version": 0}, [("out_of_range", "version", "Must be from 1 to 99999998.")]),
        (
            MessageRequest,
            {"from": "a", "tags": [*["a"] * 10_000, 5], "variables": {str(n): n for n in range(10_001)}},
            [("too_many", "tags", "Must have at most 10000 elements.")],
        ),
        (PolicyFields, {"max_bytes": 5}, [("out_of_range", "max_bytes", "Must be at least 1000.")]),
        (
            PreviewRequest,
            {"xyz": 1},
            [("unknown_field", "xyz", "Unknown field `xyz`. Known fields: variables, locale, version.")],
        ),
        (
            RescheduleRequest,
            {"send_at": None},
            [
                (
                    "required",
                    "send_at",
                    "This field is required. When to send, at most 90 days ahead: ISO 8601 with an offset, or a Unix"
                    " timestamp in seconds.",
                )
            ],
        ),
    ],
)
def test_each_mismatch_says_what_would_be_right(
    shape: type[Shape], value: Any, expected: list[tuple[str, str, str]]
) -> None:
    problems = Problems()
    check_shape(value, shape, problems)
    assert [(each.code, each.target, each.message) for each in problems.found] == expected


def test_only_the_first_unknown_fields_get_a_suggestion() -> None:
    problems = Problems()
    check_shape({"messages": [], **{f"message{n}": 1 for n in range(30)}}, BatchEnvelope, problems)
    suggested = [each for each in problems.found if "Did you mean `messages`" in each.message]
    assert (len(problems.found), len(suggested)) == (30, 20)


def test_wrong_rows_are_found_anywhere_in_the_longest_list() -> None:
    problems = Problems()
    check_shape({"value": [{"email": "a"}] * 9_999 + [{"email": 1}]}, SuppressionImport, problems)
    assert [each.target for each in problems.found] == ["value[9999].email"]


def test_walk_of_a_huge_value_ends_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mismatches, "MAX_VALUES", 10)
    kept, found = examine({"from": "a", "to": [1] * 1000, "subject": 1}, MessageRequest)
    assert 1 < len(found) <= 10
    assert {mismatch.kind for mismatch in found[:-1]} == {"type"}
    assert (found[-1].kind, found[-1].steps) == ("unchecked", ())
    assert fits(kept, MessageRequest)


def test_mismatch_behind_the_checked_values_is_a_problem_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mismatches, "MAX_VALUES", 10)
    problems = Problems()
    check_shape({"from": "a", "to": ["b"] * 1000, "subject": 1}, MessageRequest, problems)
    (problem,) = problems.found
    assert (problem.code, problem.target) == ("too_many_problems", "$")
    assert problem.message == "Something does not fit, and only the first values were checked (at most 10 values)."
