"""The command line against a running relay."""

import asyncio
import csv
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from relay.cli.app import app
from standins.sendgrid.server import DEFAULT_KEY, SendGridStandIn
from tests.e2e.running import ROOT, RunningRelay, running_relay


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a command."""

    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        """Decode the output as JSON."""
        return json.loads(self.output)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay() -> AsyncIterator[RunningRelay]:
    """A relay that captures all mail, and has a second route that no rule uses."""
    async with SendGridStandIn() as sendgrid:
        vendor = {"provider": "sendgrid", "base_url": sendgrid.url}
        settings = {
            "RELAY_ROUTES": msgspec.json.encode({"capture": {"provider": "capture"}, "vendor": vendor}).decode(),
            "RELAY_ROUTING": '[{"routes": ["capture"]}]',
            "SENDGRID_API_KEY": DEFAULT_KEY,
        }
        async with running_relay(settings) as running:
            yield running


async def run(relay: RunningRelay, *arguments: str, text: str = "", key: str | None = None) -> Ran:
    """Run `relay …` in this process, which is faster than `start`."""
    ran = await asyncio.to_thread(
        CliRunner().invoke, app, arguments, input=text, env={"RELAY_URL": relay.url, "RELAY_KEY": key or relay.key}
    )
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return Ran(code=ran.exit_code, output=ran.stdout, errors=ran.stderr)


async def start(relay: RunningRelay, *arguments: str, text: str = "", key: str | None = None) -> Ran:
    """Run `relay …` as a process, with pipes and an exit code."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay.cli", *arguments),
        cwd=ROOT,
        env={**relay.environment, "RELAY_URL": relay.url, "RELAY_KEY": key or relay.key},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate(text.encode())
    return Ran(code=process.returncode or 0, output=out.decode(), errors=errors.decode())


def sending(*more: str, to: str = "delivered@relay.test", subject: str = "By command") -> tuple[str, ...]:
    return ("send", "--from", "Shop <shop@example.com>", "--to", to, "--subject", subject, "--text", "Hello", *more)


@pytest.mark.asyncio(loop_scope="module")
async def test_message_is_sent_and_followed(relay: RunningRelay, tmp_path: Path) -> None:
    (tmp_path / "report.csv").write_text("a,b\n1,2\n")
    ran = await start(relay, *sending("--attach", str(tmp_path / "report.csv"), "--tag", "cli", "--follow", "--json"))
    assert ran.code == 0, ran.errors
    assert (ran.json["state"], ran.json["tags"]) == ("sent", ["cli"])
    shown = await start(relay, "status", ran.json["id"])
    assert "delivered@relay.test" in shown.output
    assert "sent" in shown.output


@pytest.mark.asyncio(loop_scope="module")
async def test_init_prints_the_key_of_a_new_client_once(relay: RunningRelay) -> None:
    made = await start(relay, "init", "--client", "second")
    assert made.code == 0, made.errors
    # The list is read from storage each time; the relay's own memory of its clients lasts seconds.
    [second] = [row for row in (await run(relay, "clients", "list", "--json")).json if row["name"] == "second"]
    assert made.json["key"].split("_")[1] in {row["id"] for row in second["keys"]}
    assert (await start(relay, "init", "--client", "second")).json == {"key": None}


@pytest.mark.asyncio(loop_scope="module")
async def test_text_is_read_from_stdin(relay: RunningRelay) -> None:
    arguments = ["send", "--from", "a@example.com", "--to", "delivered+in@relay.test", "--subject", "In", "--text", "-"]
    assert (await start(relay, *arguments, text="from a pipe")).code == 0
    _, mail, _ = await relay.call("GET", "/v1/inbox/wait?to=delivered%2Bin@relay.test&timeout=20")
    assert mail["text"].strip() == "from a pipe"


@pytest.mark.asyncio(loop_scope="module")
async def test_failed_message_exits_4(relay: RunningRelay) -> None:
    ran = await start(relay, *sending("--follow", "--json", to="rejected@relay.test"))
    assert (ran.code, ran.json["state"]) == (4, "failed")


@pytest.mark.asyncio(loop_scope="module")
async def test_refused_message_exits_1_and_lists_every_problem(relay: RunningRelay) -> None:
    ran = await run(relay, *sending(to="nobody", subject="a\nb"))
    assert ran.code == 1
    assert "to[0]" in ran.errors
    assert "subject" in ran.errors
    ran = await run(relay, *sending("--json", to="nobody"))
    assert ran.json["error"]["code"] == "invalid_request"


@pytest.mark.asyncio(loop_scope="module")
async def test_wrong_key_exits_1_and_wrong_url_exits_3(relay: RunningRelay) -> None:
    assert (await run(relay, "routes", "list", key="relay_00000000_wrong")).code == 1
    away = await run(relay, "--url", "http://127.0.0.1:9", "routes", "list")
    assert away.code == 3
    assert "cannot be reached" in away.errors


@pytest.mark.asyncio(loop_scope="module")
async def test_route_is_held_probed_and_released(relay: RunningRelay) -> None:
    assert (await run(relay, "routes", "hold", "capture", "--reason", "maintenance", "--until", "18:00")).code == 0
    held = (await run(relay, "routes", "list", "--json")).json
    assert (held[0]["state"], held[0]["holds"][0]["reason"]) == ("held", "maintenance")
    assert "operator: maintenance (" in (await run(relay, "routes", "list")).output
    wrong = await run(relay, "routes", "hold", "capture", "--until", "soon")
    assert wrong.code == 2
    assert (await run(relay, "routes", "probe", "capture", "--json")).json["is_healthy"] is True
    assert (await run(relay, "routes", "release", "capture")).code == 0
    assert "active" in (await run(relay, "routes", "list")).output


@pytest.mark.asyncio(loop_scope="module")
async def test_audit_log_is_listed_and_exported(relay: RunningRelay) -> None:
    for reason in ("=first", "second"):
        assert (await run(relay, "routes", "hold", "vendor", "--reason", reason)).code == 0
    await run(relay, "routes", "release", "vendor")
    chosen = ("audit", "--target", "vendor", "--operation", "HoldRoute")
    listed = (await run(relay, *chosen, "--json")).json
    assert [(each["reason"], each["outcome"]) for each in listed] == [("second", "succeeded"), ("=first", "succeeded")]
    assert "ReleaseRoute" in (await run(relay, "audit", "--limit", "1")).output
    rows = list(csv.DictReader((await run(relay, *chosen, "--export", "csv")).output.splitlines()))
    assert [row["reason"] for row in rows] == ["second", "'=first"]
    lines = (await run(relay, *chosen, "--export", "jsonl")).output.splitlines()
    assert [json.loads(line) for line in lines] == listed
    wrong = await run(relay, "audit", "--since", "yesterday")
    assert (wrong.code, "since: Write ISO 8601" in wrong.errors) == (1, True)


@pytest.mark.asyncio(loop_scope="module")
async def test_step_of_a_timer_is_run_and_listed(relay: RunningRelay) -> None:
    ran = await run(relay, "timers", "run", "recovery")
    assert (ran.code, ran.output) == (0, "recovery: 0 done, complete.\n")
    listed = await run(relay, "timers", "--json")
    assert {step["name"]: step["last_run"] is None for step in listed.json}["recovery"] is False
    assert "recovery" in (await run(relay, "timers")).output
    unknown = await run(relay, "timers", "run", "everything")
    assert (unknown.code, "Use one of: recovery" in unknown.errors) == (1, True)


@pytest.mark.asyncio(loop_scope="module")
async def test_delivery_is_paused_and_resumed(relay: RunningRelay) -> None:
    paused = await run(relay, "pause", "--reason", "upgrade", "--wait", "60", "--json")
    assert (paused.code, paused.json["is_quiet"], paused.json["reason"]) == (0, True, "upgrade")
    number = len(paused.json["routes"])
    assert f"holds ended: {number}." in (await run(relay, "resume")).output
    again = await run(relay, "pause", "--wait", "0")
    assert again.code == 4
    assert (await run(relay, "resume", "--json")).json == {"resumed": number}


@pytest.mark.asyncio(loop_scope="module")
async def test_client_is_created_limited_rotated_and_disabled(relay: RunningRelay) -> None:
    key = (await run(relay, "clients", "add", "shop", "--sender", "*@example.com")).output.strip()
    assert (await run(relay, *sending(), key=key)).code == 0
    assert (await run(relay, "clients", "limit", "shop", "--sender", "*@other.example")).code == 0
    # Every process caches clients for seconds; only a fresh read is certain to show the change.
    assert "*@other.example" in (await run(relay, "clients", "list")).output
    second = (await run(relay, "clients", "rotate", "shop", "--json")).json
    assert (await run(relay, "clients", "remove-key", "shop", key.split("_")[1])).code == 0
    [shop] = [row for row in (await run(relay, "clients", "list", "--json")).json if row["name"] == "shop"]
    assert [row["id"] for row in shop["keys"]] == [second["id"]]
    viewer = (await run(relay, "clients", "rotate", "shop", "--role", "viewer")).output.strip()
    assert f"{viewer.split('_')[1]}  viewer  last used never" in (await run(relay, "clients", "list")).output
    assert (await run(relay, "messages", key=viewer)).code == 0
    assert (await run(relay, *sending(), key=viewer)).code == 1
    assert (await run(relay, "clients", "disable", "shop")).code == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_dead_letters_are_listed_redriven_and_discarded(relay: RunningRelay) -> None:
    dead = (await run(relay, *sending("--follow", "--json", to="rejected+dead@relay.test"))).json["id"]
    counts = (await run(relay, "deadletters", "list", "--json")).json
    assert "recipient_refused" in {row["code"] for row in counts}
    assert dead in {
        row["id"] for row in (await run(relay, "deadletters", "list", "--code", "recipient_refused", "--json")).json
    }
    assert (await run(relay, "deadletters", "redrive", dead, "--json")).json == {"redriven": 1}
    assert (await run(relay, "status", dead, "--follow", "--json")).code == 4
    assert (await run(relay, "deadletters", "discard", "--code", "recipient_refused", "--yes")).code == 0
    assert (await run(relay, "deadletters", "discard")).code == 2


@pytest.mark.asyncio(loop_scope="module")
async def test_sent_message_is_resent(relay: RunningRelay) -> None:
    sent = (await run(relay, *sending("--follow", "--json"))).json["id"]
    assert (await run(relay, "resend", sent, "--reason", "ticket 4711", "--json")).json["id"] == sent
    shown = (await run(relay, "status", sent, "--follow", "--json")).json
    assert [attempt["outcome"] for attempt in shown["attempts"]] == ["sent", "sent"]
    assert "ticket 4711" in (await run(relay, "audit", "--export", "csv")).output
    unknown = await run(relay, "resend", sent, "--route", "pigeon")
    assert (unknown.code, "Unknown route" in unknown.errors) == (1, True)


@pytest.mark.asyncio(loop_scope="module")
async def test_bench_sends_every_message(relay: RunningRelay) -> None:
    assert (await run(relay, "bench", "--messages", "40", "--json")).json["sent"] == 40


@pytest.mark.asyncio(loop_scope="module")
async def test_messages_are_listed_and_tailed(relay: RunningRelay) -> None:
    name = (await run(relay, *sending("--follow", "--json", "--tag", "listed"))).json["id"]
    assert [row["id"] for row in (await run(relay, "messages", "--tag", "listed", "--json")).json] == [name]
    assert name in (await run(relay, "messages", "--state", "sent")).output
    lines = (await run(relay, "tail", "--once", "--json")).output.splitlines()
    assert name in {json.loads(line)["id"] for line in lines}


@pytest.mark.asyncio(loop_scope="module")
async def test_rates_of_bounces_and_complaints_are_shown(relay: RunningRelay) -> None:
    assert (await run(relay, *sending("--follow", "--tag", "counted"))).code == 0
    assert (await run(relay, "timers", "run", "arrival_rates")).code == 0
    listed = (await run(relay, "arrivals", "--by", "tag", "--json")).json["value"]
    assert [(row["sent"], row["hard_bounced"]) for row in listed if row["name"] == "counted"] == [(1, 0)]
    row = next(line for line in (await run(relay, "arrivals", "--by", "tag")).output.splitlines() if "counted" in line)
    assert re.findall(r"[\d.]+", row) == ["1", "0", "0", "0", "0.00", "0.00"]
    none = await run(relay, "arrivals", "--before", "2026-01-01T00:00:00Z", "--since", "2025-12-31T00:00:00Z")
    assert (none.code, none.output) == (0, "No mail was counted.\n")
    wrong = await run(relay, "arrivals", "--by", "color")
    assert wrong.code == 1
    assert "color" in wrong.errors or "by" in wrong.errors


@pytest.mark.asyncio(loop_scope="module")
async def test_doctor_finds_no_problem(relay: RunningRelay) -> None:
    ran = await run(relay, "doctor", "--json")
    assert (ran.code, ran.json["health"]) == (0, "ok"), ran.json
    assert "storage" in (await run(relay, "doctor")).output


@pytest.mark.asyncio(loop_scope="module")
async def test_exported_suppressions_can_be_imported(relay: RunningRelay, tmp_path: Path) -> None:
    assert (await run(relay, "suppressions", "add", "ada@example.org", "--note", "by telephone")).code == 0
    exported = await run(relay, "suppressions", "export")
    (tmp_path / "list.csv").write_text(exported.output)
    assert (await run(relay, "suppressions", "remove", "ada@example.org")).code == 0
    assert (await run(relay, "suppressions", "list", "--json")).json == []
    assert (await run(relay, "suppressions", "import", str(tmp_path / "list.csv"), "--json")).json == {"imported": 1}
    assert "by telephone" in (await run(relay, "suppressions", "list")).output
    assert (await run(relay, "suppressions", "sync", "capture")).code == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_mail_of_a_recipient_is_erased(relay: RunningRelay) -> None:
    hers = "delivered+ada@relay.test"
    sent = (await run(relay, *sending("--follow", "--json", to=hers))).json["id"]
    counts = {"erased": 1, "cancelled": 0, "in_progress": 0, "shared_files": 0, "unreadable": 0}
    assert (await run(relay, "erase", hers, "--dry-run", "--json")).json == counts
    assert (await run(relay, "erase", hers, text="n\n")).code == 1
    assert "1 erased, 0 cancelled." in (await run(relay, "erase", hers, "--yes")).output
    assert (await run(relay, "erase", hers, text="y\n")).code == 0
    shown = (await run(relay, "status", sent)).output
    assert "erased_at" in shown
    assert hers not in shown
    assert (await run(relay, "erase", "ada", "--yes")).code == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_redrive_dry_run_counts_lost_mail(relay: RunningRelay) -> None:
    days = ("--sent-between", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", "--json")
    command = ("redrive", "--route", "vendor", *days)
    assert (await run(relay, *command, "--without-delivered")).json == {
        "found": 0,
        "redriven": 0,
        "skipped": 0,
        "unreadable": 0,
    }
    refused = await run(relay, *command)
    assert (refused.code, refused.json["error"]["target"]) == (1, "without_delivered")
    refused = await run(relay, "redrive", "--route", "capture", *days, "--without-delivered")
    assert (refused.code, refused.json["error"]["target"]) == (1, "route")


@pytest.mark.asyncio(loop_scope="module")
async def test_help_has_examples(relay: RunningRelay) -> None:
    assert "Examples" in (await run(relay, "send", "--help")).output
