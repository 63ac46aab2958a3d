"""Check options of SendGrid, and name those that need SendGrid."""

from typing import Any

import pytest

from relay.providers.sendgrid import provider
from relay.providers.sendgrid.options import demands, optional, options_problems

GOOD = {
    "template_id": "d-1",
    "dynamic_template_data": {"name": "Ada", "items": [1, {"deep": None}]},
    "substitutions": {"-name-": "Ada"},
    "sections": {":a:": "text"},
    "content": [{"type": "text/calendar", "value": "BEGIN:VCALENDAR"}],
    "send_at": 1_800_000_000,
    "batch_id": "b",
    "ip_pool_name": "pool",
    "asm": {"group_id": 1, "groups_to_display": [1, 2]},
    "mail_settings": {
        "bypass_list_management": {"enable": True},
        "bypass_spam_management": {"enable": True},
        "bypass_bounce_management": {"enable": True},
        "bypass_unsubscribe_management": {"enable": True},
        "footer": {"enable": True, "text": "a", "html": "b"},
        "sandbox_mode": {"enable": False},
    },
    "tracking_settings": {
        "click_tracking": {"enable": True, "enable_text": False},
        "open_tracking": {"enable": True, "substitution_tag": "%o%"},
        "subscription_tracking": {"enable": True, "text": "a", "html": "b", "substitution_tag": "[u]"},
        "ganalytics": {"enable": True, "utm_source": "relay"},
    },
}


def test_every_option_of_sendgrid_is_accepted() -> None:
    assert options_problems(GOOD, "options.sendgrid") == []
    assert provider.check_options(GOOD) == []


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("text", "o: must be an object"),
        ({"template": "d-1"}, "o.template: is not an option of SendGrid (did you mean template_id?)"),
        ({"template_id": 7}, "o.template_id: must be a string"),
        ({"send_at": True}, "o.send_at: must be a whole number"),
        ({"send_at": "1"}, "o.send_at: must be a whole number"),
        ({"substitutions": {"a": 1}}, "o.substitutions.a: must be a string"),
        ({"asm": []}, "o.asm: must be an object"),
        ({"asm": {"groups_to_display": 1}}, "o.asm.groups_to_display: must be an array"),
        ({"asm": {"groups_to_display": [1, "2"]}}, "o.asm.groups_to_display[1]: must be a whole number"),
        ({"content": [{"typ": "x"}]}, "o.content[0].typ: is not an option of SendGrid (did you mean type?)"),
        (
            {"mail_settings": {"sandbox_mode": {"enable": 1}}},
            "o.mail_settings.sandbox_mode.enable: must be true or false",
        ),
    ],
)
def test_each_problem_has_its_path(value: Any, problem: str) -> None:
    assert options_problems(value, "o") == [problem]


def test_unknown_name_without_a_near_one_lists_the_known_options() -> None:
    (problem,) = options_problems({"asm": {"xyz": 1}}, "o")
    assert problem == "o.asm.xyz: is not an option of SendGrid (known: group_id, groups_to_display)"


def test_all_problems_are_reported_together() -> None:
    assert len(options_problems({"send_at": "x", "asm": 1, "mail_settings": {"footer": {"text": 1}}}, "o")) == 3


def test_demands_omit_empty_and_disabled_options() -> None:
    off = {"mail_settings": {"footer": {"enable": False}}, "tracking_settings": {"click_tracking": {"enable": False}}}
    assert demands({}) == demands(off) == []
    assert demands({**off, "asm": {}, "content": [], "template_id": "d-1"}) == ["template_id"]
    on = {
        "tracking_settings": {"subscription_tracking": {"enable": True}},
        "mail_settings": {"footer": {"enable": True}},
    }
    assert demands({**off, **on}) == ["mail_settings.footer", "tracking_settings.subscription_tracking"]


def test_demands_omit_tracking_which_other_routes_ignore() -> None:
    on = {name: {"enable": True} for name in ("click_tracking", "open_tracking", "ganalytics")}
    assert demands({"tracking_settings": on}) == []
    assert optional({"tracking_settings": on}) == [f"tracking_settings.{name}" for name in on]
    assert (
        optional(
            {"tracking_settings": {"click_tracking": {"enable": False}, "subscription_tracking": {"enable": True}}}
        )
        == []
    )
    assert options_problems({"tracking_settings": on}, "o") == []


def test_retired_copy_of_every_mail_is_refused_only_if_it_is_on() -> None:
    assert options_problems({"mail_settings": {"bcc": {"enable": False, "email": "a@b"}, "spam_check": {}}}, "o") == []
    (problem,) = options_problems({"mail_settings": {"bcc": {"enable": True, "email": "a@b"}}}, "o")
    assert problem.startswith("o.mail_settings.bcc: adds a recipient")
