"""Policy: every reason against a message at once, and the submission that is accepted."""

from datetime import timedelta
from typing import Any

import pytest

from relay.acceptance import policy
from relay.acceptance.draft import Draft
from relay.acceptance.policy import Verdict
from relay.clients.policy import Policy
from relay.core.errors import Refusal
from relay.core.model import Address, Attachment, DeliveryGuarantee, Message
from relay.core.settings import Lane, Route, Rule, Settings, When
from tests.doubles import CLIENT, START, changed, message_of, settings_of

SETTINGS = settings_of(
    Route(name="main", provider="smtp"),
    Route(name="acs", provider="acs"),
    lanes={"transactional": Lane(), "bulk": Lane(expires_in_seconds=600)},
)


def decide(of: Policy | None = None, message: Message | None = None, **fields: Any) -> Verdict:
    """Decide about a message of a client that may send from any address unless the policy names some."""
    traceparent, chosen = fields.pop("traceparent", None), of or Policy()
    settings = fields.pop("settings", SETTINGS)
    return policy.decide(
        client=changed(CLIENT, policy=changed(chosen, senders=chosen.senders or ("*",))),
        draft=Draft(message=message or message_of(), **fields),
        settings=settings,
        now=START,
        traceparent=traceparent,
    )


def refusal(of: Policy | None = None, message: Message | None = None, **fields: Any) -> Refusal:
    with pytest.raises(Refusal) as refused:
        decide(of, message, **fields)
    return refused.value


def faults(refused: Refusal) -> list[tuple[str, str]]:
    return [(problem.code, problem.target) for problem in refused.problems]


@pytest.mark.parametrize(
    ("message", "target"),
    [
        ({"text": "Hi\nbegin 644 tool.exe\n#0V%T\n`\nend\n"}, "text"),
        ({"html": "<pre>\nbegin-base64 644 tool.exe\nTVo=\n====\n</pre>"}, "html"),
        ({"calendar": "BEGIN:VCALENDAR\nMETHOD:REQUEST\nATTACH;X-FILENAME=tool.exe:TVo=\nEND:VCALENDAR"}, "calendar"),
        ({"attachments": (Attachment(name="tool.ex\u200be"),)}, "attachments[0].name"),
        ({"attachments": (Attachment(name="a"), Attachment(name="tool.exe::$DATA"))}, "attachments[1].name"),
        ({"attachments": (Attachment(name="a.dat", type="application/ms-tnef"),)}, "attachments[0].type"),
        ({"attachments": (Attachment(name="winmail.dat"),)}, "attachments[0].type"),
        ({"attachments": (Attachment(name="a", type="message/partial"),)}, "attachments[0].type"),
    ],
)
def test_refused_file_is_found_wherever_a_program_may_show_it(message: dict[str, Any], target: str) -> None:
    refused = refusal(message=message_of(**message))
    assert faults(refused) == [("attachment_not_allowed", target)]
    decide(Policy(refused_attachments=()), message_of(**message))


def test_files_within_attachments_are_refused() -> None:
    refused = refusal(file_names=("a.pdf", "tool.exe"), opaque_parts=("a piece of a message (message/partial)",))
    assert faults(refused) == [("attachment_not_allowed", "attachments")] * 2
    assert "message/partial" in refused.problems[1].message


BYPASS = {"sendgrid": {"mail_settings": {"bypass_list_management": {"enable": True}, "footer": {"enable": True}}}}


def test_bypass_of_suppressions_needs_the_policy() -> None:
    refused = refusal(message=message_of(options=BYPASS))
    assert [(each.code, each.target) for each in refused.problems] == [
        ("bypass_not_allowed", "options.sendgrid.mail_settings.bypass_list_management")
    ]
    allowed = refusal(Policy(may_bypass_suppressions=True), message_of(options=BYPASS))
    # No route of these settings is SendGrid's: the policy has no objection left.
    assert allowed.code == "not_carriable"
    off = {"sendgrid": {"mail_settings": {"bypass_list_management": {"enable": False}}}}
    decide(message=message_of(options=off))


def test_accepted_message_becomes_a_complete_submission() -> None:
    verdict = decide(
        message=message_of(headers={"X-A": "1"}),
        expires_in_seconds=90,
        delivery=DeliveryGuarantee.AT_MOST_ONCE,
        route="main",
    )
    submission = verdict.submission
    assert verdict.lane == "transactional"
    assert [leg.routes for leg in verdict.legs] == [("main",)]
    assert (submission.client, submission.route, submission.delivery) == (
        "shop",
        "main",
        DeliveryGuarantee.AT_MOST_ONCE,
    )
    assert (submission.expires_at, submission.has_own_expiry) == (START + timedelta(seconds=90), True)
    assert submission.features == ("x_headers",)
    assert 300 < submission.size < 2000
    assert submission.send_at is None


def test_lane_and_delivery_default_to_the_clients_policy() -> None:
    of = Policy(lanes=("bulk", "transactional"), delivery=DeliveryGuarantee.AT_MOST_ONCE)
    verdict = decide(of)
    assert (verdict.lane, verdict.submission.delivery) == ("bulk", DeliveryGuarantee.AT_MOST_ONCE)
    assert (verdict.submission.expires_at, verdict.submission.has_own_expiry) == (
        START + timedelta(seconds=600),
        False,
    )
    verdict = decide(of, lane="transactional", delivery=DeliveryGuarantee.AT_LEAST_ONCE)
    assert (verdict.lane, verdict.submission.delivery) == ("transactional", DeliveryGuarantee.AT_LEAST_ONCE)
    assert verdict.submission.expires_at == START + timedelta(days=1)


def test_expiry_of_a_scheduled_message_starts_at_send_at() -> None:
    later = START + timedelta(days=3)
    submission = decide(send_at=later, expires_in_seconds=60).submission
    assert (submission.send_at, submission.expires_at) == (later, later + timedelta(seconds=60))
    now = decide(send_at=START, expires_in_seconds=60).submission
    assert (now.send_at, now.expires_at) == (None, START + timedelta(seconds=60))


def test_all_policy_violations_are_reported_at_once() -> None:
    of = Policy(
        senders=("*@example.net",), recipients=("*@example.com",), lanes=("bulk",), routes=("acs",), max_bytes=200
    )
    message = message_of(
        "ada@example.com",
        "eve@example.net",
        bcc=(Address(email="eve@example.org"),),
        attachments=(Attachment(name="a.txt"), Attachment(name="Invoice.PDF.EXE")),
    )
    refused = refusal(of, message, lane="transactional", route="main")
    assert (refused.status, refused.code) == (403, "forbidden")
    assert faults(refused) == [
        ("sender_not_allowed", "from"),
        ("recipient_not_allowed", "to[1]"),
        ("recipient_not_allowed", "bcc[0]"),
        ("lane_not_allowed", "lane"),
        ("route_not_allowed", "route"),
        ("message_too_large", "$"),
        ("attachment_not_allowed", "attachments[1].name"),
    ]
    texts = " ".join(problem.message for problem in refused.problems)
    assert "@" not in texts


@pytest.mark.parametrize(
    ("return_path", "targets"),
    [
        (None, []),
        ("", []),
        ("bounces@example.org", []),
        ("shop@lists.example.net", []),
        ("other@lists.example.net", ["return_path"]),
        ("victim@example.com", ["return_path"]),
    ],
)
def test_return_path_must_be_an_allowed_sender(return_path: str | None, targets: list[str]) -> None:
    of = Policy(senders=("*@example.org", "shop@lists.example.net"))
    message = message_of(return_path=return_path)
    if not targets:
        assert decide(of, message).submission.message == message
        return
    refused = refusal(of, message)
    assert (refused.status, faults(refused)) == (403, [("sender_not_allowed", target) for target in targets])


def test_unknown_lane_and_route_list_the_configured_ones() -> None:
    refused = refusal(lane="express", route="x")
    assert (refused.status, faults(refused)) == (400, [("unknown_lane", "lane"), ("unknown_route", "route")])
    assert "transactional, bulk" in refused.problems[0].message
    assert "main, acs" in refused.problems[1].message


def test_message_that_no_route_carries_lists_each_routes_reason() -> None:
    many = message_of(*(f"r{number}@example.com" for number in range(501)))
    refused = refusal(message=many)
    assert (refused.status, refused.code) == (422, "not_carriable")
    assert [problem.message for problem in refused.problems] == [
        "route main (smtp) carries at most 500 recipients; the message has 501"
    ]
    signed = (
        b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n" + b"y" * 999 + b"\r\n--s\r\n\r\nx\r\n--s--\r\n"
    )
    refused = refusal(message=message_of(raw=signed))
    assert refused.problems[0].message == (
        "route main (smtp) cannot carry signed MIME with lines of more than 998 bytes, which Relay must not re-encode"
    )
    refused = refusal(message=message_of(attachments=(Attachment(name="empty.csv"),)), route="acs")
    assert refused.problems[0].message == "route acs (acs) cannot carry attachments of zero bytes"
    refused = refusal(message=message_of(raw=b"Subject: x\r\n\r\n"), route="acs")
    assert refused.problems[0].message == "route acs (acs) cannot carry a finished RFC 5322 message as it is"


def test_message_is_refused_if_one_recipient_has_no_route() -> None:
    settings = settings_of(
        Route(name="main", provider="smtp"),
        Route(name="own", provider="smtp", senders=("*@example.net",)),
        rules=(Rule(routes=("own",), when=When(recipient_domains=("example.net",))),),
    )
    with pytest.raises(Refusal) as refused:
        policy.decide(
            client=CLIENT,
            draft=Draft(message=message_of("a@example.com", "b@example.net")),
            settings=settings,
            now=START,
            traceparent=None,
        )
    assert [problem.message for problem in refused.value.problems] == ["route own may not send for this From address"]


def budgeted(*others: Route, **budget: Any) -> Settings:
    given = {"internal_domains": ["contoso.com"], **budget}
    main = Route(name="main", provider="graph", settings={"managed_identity": True, "external_recipients": given})
    return settings_of(main, *others, rules=[Rule(routes=("main", *(each.name for each in others)))])


EXTERNAL = tuple(f"user{number}@example.com" for number in range(5))


@pytest.mark.parametrize(
    ("budget", "sender", "limit"),
    [
        ({"per_tenant": 4}, "shop@contoso.com", 4),
        ({"per_tenant": 1_000, "per_mailbox": 3}, "shop@contoso.com", 3),
        ({"per_mailbox": 3, "when_spent": "hold"}, "shop@contoso.com", 3),
    ],
)
def test_message_with_more_external_recipients_than_the_budget_is_refused(
    budget: dict[str, Any], sender: str, limit: int
) -> None:
    message = message_of(*EXTERNAL, "bob@contoso.com", sender=Address(email=sender))
    refused = refusal(message=message, settings=budgeted(**budget))
    assert (refused.status, faults(refused)) == (422, [("not_carriable", "$")])
    assert refused.problems[0].message == (
        f"route main may send to {limit} external recipients in 24 hours; the message has 5"
    )
    fewer = message_of(*EXTERNAL[:limit], "bob@contoso.com", "eve@contoso.com", sender=Address(email=sender))
    assert decide(message=fewer, settings=budgeted(**budget)).legs[0].routes == ("main",)


def test_onmicrosoft_sender_with_more_than_100_external_recipients_is_refused() -> None:
    many = [f"user{number}@example.com" for number in range(101)]
    sender = Address(email="shop@contoso.onmicrosoft.com")
    refused = refusal(message=message_of(*many, sender=sender), settings=budgeted(per_tenant=1_000))
    assert "100 external recipients" in refused.problems[0].message
    decide(message=message_of(*many[:100], sender=sender), settings=budgeted(per_tenant=1_000))


def test_message_above_the_budget_is_accepted_if_another_route_carries_it() -> None:
    with_backup = budgeted(Route(name="backup", provider="smtp"), per_tenant=4)
    assert decide(message=message_of(*EXTERNAL), settings=with_backup).legs[0].routes == ("main", "backup")
    small = budgeted(Route(name="backup", provider="acs", senders=("x@example.com",)), per_tenant=4)
    reasons = [each.message for each in refusal(message=message_of(*EXTERNAL), settings=small).problems]
    assert reasons == [
        "route backup may not send for this From address",
        "route main may send to 4 external recipients in 24 hours; the message has 5",
    ]


def test_suppressed_recipients_need_no_budget() -> None:
    verdict = policy.decide(
        client=changed(CLIENT, policy=Policy(senders=("*",))),
        draft=Draft(message=message_of(*EXTERNAL)),
        settings=budgeted(per_tenant=4),
        now=START,
        traceparent=None,
        suppressed=lambda _: {0: "bounced"},
    )
    assert verdict.legs[0].recipients == (1, 2, 3, 4)


def test_redirect_policy_replaces_other_recipients_once() -> None:
    of = Policy(recipients=("*@example.org",), redirect_to="tests@example.org")
    message = message_of(
        "ada@example.com",
        "own@example.org",
        cc=(Address(email="bob@example.com"),),
        bcc=(Address(email="own2@example.org"),),
    )
    redirected = decide(of, message).submission.message
    assert redirected is not None
    assert [address.email for address in redirected.recipients] == [
        "tests@example.org",
        "own@example.org",
        "own2@example.org",
    ]
    assert decide(of, message_of("own@example.org")).submission.message == message_of("own@example.org")


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("given", "kept"), [(TRACE, TRACE), (None, None), ("", None), (TRACE.upper(), None), (TRACE + "x" * 9000, None)]
)
def test_only_a_valid_traceparent_is_stored(given: str | None, kept: str | None) -> None:
    assert decide(traceparent=given).submission.traceparent == kept


@pytest.mark.parametrize(
    ("ranges", "address", "admitted"),
    [
        ((), "", True),
        ((), "203.0.113.9", True),
        (("203.0.113.0/24",), "203.0.113.9", True),
        (("203.0.113.7/24",), "203.0.113.9", True),
        (("203.0.113.0/24",), "203.0.114.9", False),
        (("203.0.113.0/24",), "::ffff:203.0.113.9", True),
        (("2001:db8::/32", "10.0.0.1"), "10.0.0.1", True),
        (("2001:db8::/32",), "2001:db8::1", True),
        (("203.0.113.0/24",), "", False),
        (("203.0.113.0/24",), "unknown", False),
        (("203.0.113.0/99",), "203.0.113.9", False),
        (("203.0.113.0/99", "203.0.113.0/24"), "203.0.113.9", True),
    ],
)
def test_caller_address_must_be_in_the_ip_ranges(ranges: tuple[str, ...], address: str, admitted: bool) -> None:
    assert policy.may_call_from(Policy(ip_ranges=ranges), address) is admitted
