"""What a SendGrid request asks for has a limit, however small the request is.

Measured are instructions and bytes, not time.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from relay.acceptance.draft import Limits
from relay.api.problems import Problems
from relay.api.sendgrid.mail import Mail, read_mail
from relay.api.sendgrid.substitutions import MAX_GROWTH, MAX_WORK, TagSets
from tests.api.harness import Harness
from tests.api.sendgrid_requests import mail, to
from tests.work import allocated, counted

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MEGABYTE = 1_000_000


def read(value: Any, **limits: int) -> tuple[Mail, list[tuple[str, str]]]:
    problems = Problems()
    found = asyncio.run(read_mail(value, NOW, problems, Limits(**limits)))
    return found, [(problem.code, problem.target) for problem in problems.found]


def html(value: str) -> list[dict[str, str]]:
    return [{"type": "text/html", "value": value}]


async def test_section_used_many_times_is_refused_with_its_field(relay: Harness) -> None:
    body = mail(content=html("-s-" * 1500), sections={"-s-": "x" * 200_000})
    with allocated() as memory:
        response = await relay.call("POST", "/v3/mail/send", json=body)
    assert response.status == 400
    [error] = response.json["errors"]
    assert error["field"] == "sections"
    assert str(MAX_GROWTH) in error["message"]
    assert memory.peak < 20 * MEGABYTE


def test_substitution_used_many_times_is_refused_with_its_field() -> None:
    people = [to("a@example.org"), to("b@example.org", substitutions={"-s-": "x" * 9_000})]
    _, problems = read(mail(content=html("-s-" * 1500), personalizations=people))
    assert problems == [("too_large", "personalizations.1.substitutions")]


def test_many_sections_cost_instructions_in_proportion_to_their_number() -> None:
    def work(sections: int) -> int:
        value = mail(content=html("-s1- and -s2- " * 500), sections={f"-s{number}-": "x" for number in range(sections)})
        with counted() as work:
            assert read(value)[1] == []
        return work.instructions

    work(10)
    few, many = work(5_000), work(20_000)
    assert many < 5 * few


def test_search_of_one_text_ends_at_the_limit_of_steps() -> None:
    # Each character may begin each of 1,400 tags, and begins none.
    tags = {"a" * length + "b": "x" for length in range(1, 1_400)}
    _, problems = read(mail(content=html("a" * 100_000), sections=tags))
    assert problems == [("too_large", "sections")]


def test_steps_are_counted_for_all_messages_together() -> None:
    people = [to(f"n{number}@example.org", substitutions={f"a{number}": "x"}) for number in range(1000)]
    _, problems = read(mail(content=html("a" * 20_000), personalizations=people))
    [(code, field)] = problems
    assert (code, field.split(".")[0], field.split(".")[2]) == ("too_large", "personalizations", "substitutions")
    assert 0 < int(field.split(".")[1]) < 1000


def test_messages_with_the_same_tags_share_the_search() -> None:
    def work(messages: int) -> int:
        people = [to(f"n{number}@example.org", substitutions={"-n-": str(number)}) for number in range(messages)]
        value = mail(content=html("a-b-c -n- " * 400), personalizations=people)
        with counted() as work:
            assert read(value)[1] == []
        return work.instructions

    work(2)
    assert work(21) - work(1) < 20 * 20_000


def test_messages_are_read_until_they_are_too_large_together() -> None:
    people = [to(f"n{number}@example.org", substitutions={"-n-": "x" * 9_000}) for number in range(100)]
    found, problems = read(mail(content=html("-n-" * 10), personalizations=people), max_batch_bytes=1_000_000)
    assert problems == [("message_too_large", "personalizations")]
    assert len(found.drafts) == 11


def test_options_of_all_messages_count_for_each() -> None:
    people = [to(f"n{number}@example.org") for number in range(1000)]
    value = mail(template_id="d-1", content=None, sections={"-s-": "x" * 200_000}, personalizations=people)
    assert read(value)[1] == [("message_too_large", "personalizations")]


def test_reply_addresses_with_tags_are_read_within_the_limit_of_steps() -> None:
    people = [to(f"n{number}@example.org", substitutions={"-n-": str(number)}) for number in range(1000)]
    replies = [{"email": f"r{number}@example.com"} for number in range(1000)]
    found, problems = read(mail(reply_to_list=replies, personalizations=people))
    assert [code for code, _ in problems] == ["too_large"]
    assert len(found.drafts) < MAX_WORK / 100 / 1000


@pytest.mark.parametrize(
    "value",
    [
        mail(reply_to_list=[{"email": "r@example.com"}] * 1001),
        mail(personalizations=[to(*["a@example.org"] * 100_000)]),
    ],
    ids=["reply addresses", "recipients"],
)
def test_far_too_many_addresses_are_counted_but_not_read(value: Any) -> None:
    found, problems = read(value)
    assert found.drafts == ()
    assert len([code for code, _ in problems if code.startswith("too_many")]) == 1


def test_longest_tag_wins_at_each_place() -> None:
    tags = TagSets({}).of({"a": "1", "ab": "2", "abc": "3", "b": "4", "": "never"})
    assert tags.fill("abcabxaxbabca") == "32x1x431"
