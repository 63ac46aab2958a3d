"""Programs that others wrote send through Relay: Django, Airflow, Node, PHP, and Debian's mail programs.

They run if `RELAY_OTHER_PROGRAMS` names a folder with

- `venv`: a virtual environment with `django django-sendgrid-v5 django-anymail[sendgrid]`;
- `node_modules`: `npm install @sendgrid/mail nodemailer nodemailer-sendgrid`;

and what is there of Debian's packages `swaks msmtp git-email php-cli libphp-phpmailer postfix`.
"""

import asyncio
import base64
import getpass
import os
import shutil
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sendgrid
from sendgrid.helpers import mail as helpers

from tests.e2e.running import RunningRelay, running_relay
from tests.e2e.test_mail_programs import start_smtp

FOLDER = Path(os.environ.get("RELAY_OTHER_PROGRAMS", "/nonexistent"))
PHPMAILER = Path("/usr/share/php/libphp-phpmailer/autoload.php")
GIT_SEND_EMAIL = Path("/usr/lib/git-core/git-send-email")
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not FOLDER.is_dir(), reason="RELAY_OTHER_PROGRAMS names no folder"),
]


def needs(path: Path | str) -> pytest.MarkDecorator:
    """Skip a test without a file, or without a program of this name."""
    is_present = path.exists() if isinstance(path, Path) else shutil.which(path) is not None
    return pytest.mark.skipif(not is_present, reason=f"{path} is not installed")


class Place:
    """A relay that captures mail, and an SMTP server in front of it."""

    def __init__(self, relay: RunningRelay, port: int) -> None:
        self.relay = relay
        self.port = port
        self.environment = {"RELAY_URL": relay.url, "RELAY_KEY": relay.key, "PORT": str(port)}

    async def run(self, *argv: str, text: str = "", more: Mapping[str, str] | None = None, cwd: Path = FOLDER) -> str:
        """Run a program that must succeed. Returns its output."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env={**os.environ, **self.environment, **(more or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate(text.encode())
        assert process.returncode == 0, output.decode()
        return output.decode()

    async def arrived(self, subject: str) -> Any:
        """Return the captured mail with this subject."""
        query = {"subject": subject, "timeout": "20"}
        status, mail, _ = await self.relay.call("GET", "/v1/inbox/wait", params=query)
        assert status == 200, mail
        return mail


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place() -> AsyncIterator[Place]:
    async with running_relay({}) as relay:
        server = await start_smtp(relay.url, relay.key)
        [line] = await server.until_ready(timeout_seconds=60)
        yield Place(relay, int(line["port"]))
        await server.stop(grace_seconds=10)


DJANGO = """
import os
from django.conf import settings
settings.configure(
    EMAIL_BACKEND=BACKEND, SENDGRID_API_KEY=os.environ["RELAY_KEY"], SENDGRID_HOST_URL=os.environ["RELAY_URL"],
    ANYMAIL={"SENDGRID_API_KEY": os.environ["RELAY_KEY"], "SENDGRID_API_URL": os.environ["RELAY_URL"] + "/v3/"},
)
from django.core.mail import EmailMultiAlternatives
mail = EmailMultiAlternatives(
    "Django: " + BACKEND, "Grüße", "Der Shop <shop@example.com>", ["Ada <ada@example.org>"], cc=["cc@example.org"],
    bcc=["bcc@example.org"], reply_to=["help@example.com"], headers={"Message-ID": "<django-1@example.com>", "X-Shop": "7"},
)
mail.attach_alternative("<p>Grüße</p>", "text/html")
mail.attach("請求書.csv", "a;b", "text/csv")
assert mail.send() == 1
"""


@needs(FOLDER / "venv")
@pytest.mark.parametrize("backend", ["sendgrid_backend.SendgridBackend", "anymail.backends.sendgrid.EmailBackend"])
async def test_django_sends_mail(place: Place, backend: str) -> None:
    await place.run(str(FOLDER / "venv/bin/python"), "-c", f"BACKEND = {backend!r}\n{DJANGO}")
    mail = await place.arrived(f"Django: {backend}")
    assert (mail["text"].strip(), mail["html"].strip()) == ("Grüße", "<p>Grüße</p>")
    assert sorted(mail["to"]) == ["ada@example.org", "bcc@example.org", "cc@example.org"]
    assert [file["name"] for file in mail["attachments"]] == ["請求書.csv"]
    headers = {each["name"].lower(): each["value"] for each in mail["headers"]}
    assert (headers["message-id"], headers["x-shop"]) == ("<django-1@example.com>", "7")


async def test_airflow_sends_files_with_any_name(place: Place) -> None:
    """The calls of Airflow's `airflow.providers.sendgrid.utils.emailer.send_email`."""
    mail = helpers.Mail()
    mail.from_email = helpers.Email("airflow@example.com", "Airflow")
    mail.subject = "Airflow: report"
    mail.mail_settings = helpers.MailSettings()
    person = helpers.Personalization()
    person.add_to(helpers.Email("ada@example.org"))
    mail.add_personalization(person)
    mail.add_content(helpers.Content("text/html", "<p>Report</p>"))
    mail.add_category(helpers.Category("dag"))
    names = ["daily report.csv", "log(1).txt", "rapport_été.txt"]
    for name in names:
        content = base64.b64encode(b"1;2").decode()
        file = helpers.Attachment(content, name, "text/csv", disposition="attachment", content_id=f"<{name}>")
        mail.add_attachment(file)
    client = sendgrid.SendGridAPIClient(api_key=place.relay.key, host=place.relay.url)
    response = await asyncio.to_thread(client.client.mail.send.post, request_body=mail.get())
    assert response.status_code == 202
    assert sorted(file["name"] for file in (await place.arrived("Airflow: report"))["attachments"]) == names


NODE = """
import nodemailer from "nodemailer";
import wrapper from "nodemailer-sendgrid";
const { RELAY_URL, RELAY_KEY, PORT } = process.env;
const sendgrid = wrapper({ apiKey: RELAY_KEY });
const mail = {
  from: '"Der Shop" <shop@example.com>', to: "Ada <ada@example.org>", cc: "cc@example.org", replyTo: "help@example.com",
  text: "Grüße", html: '<p>Grüße <img src="cid:logo@example"></p>', headers: { "X-Shop": "7" },
  attachments: [
    // Not a text: the SendGrid wrapper would pass it on without base64.
    { filename: "請求書 11月.csv", content: Buffer.from("a;b") },
    { filename: "logo.png", content: Buffer.from("iVBORw0KGgo=", "base64"), cid: "logo@example" },
  ],
};
if (process.argv.includes("smtp")) {
  await nodemailer.createTransport({ host: "127.0.0.1", port: PORT }).sendMail({ ...mail, subject: "Node: smtp" });
} else {
  // The wrapper's own copy of the library, which is older than the current one.
  const { createRequire } = await import("node:module");
  const own = createRequire(createRequire(process.cwd() + "/").resolve("nodemailer-sendgrid"));
  own("@sendgrid/mail").client.setDefaultRequest("baseUrl", RELAY_URL);
  await nodemailer.createTransport(sendgrid).sendMail({ ...mail, subject: "Node: sendgrid" });
}
"""


@needs(FOLDER / "node_modules")
@pytest.mark.parametrize("way", ["smtp", "sendgrid"])
async def test_nodemailer_sends_mail(place: Place, way: str) -> None:
    await place.run("node", "--input-type=module", "--eval", NODE, "--", way)
    mail = await place.arrived(f"Node: {way}")
    assert mail["text"].strip() == "Grüße"
    assert sorted(mail["to"]) == ["ada@example.org", "cc@example.org"]
    assert [file["name"] for file in mail["attachments"] if file["name"] != "logo.png"] == ["請求書 11月.csv"]
    assert "logo.png" in [file["name"] for file in mail["attachments"]]


@needs("swaks")
async def test_swaks_sends_mail(place: Place) -> None:
    output = await place.run(
        *("swaks", "--server", "127.0.0.1", "--port", str(place.port), "--from", "a@example.com"),
        *("--to", "ada@example.org,bob@example.org", "--h-Subject", "Swaks: pipelined", "--pipeline"),
        *("--body", ".\\n..dots\\n"),
    )
    assert "250 2.0.0 Accepted as msg_" in output
    mail = await place.arrived("Swaks")
    assert sorted(mail["to"]) == ["ada@example.org", "bob@example.org"]
    assert mail["text"].replace("\r\n", "\n").strip() == ".\n..dots"


@needs("msmtp")
async def test_msmtp_sends_mail(place: Place) -> None:
    text = "From: a@example.com\nTo: ada@example.org\nBcc: bob@example.org\nSubject: Msmtp: grüße\n\nGrüße\n"
    options = ("--host=127.0.0.1", f"--port={place.port}", "--from=a@example.com", "--read-recipients")
    await place.run("msmtp", *options, text=text)
    mail = await place.arrived("Msmtp: grüße")
    assert (sorted(mail["to"]), mail["text"].strip()) == (["ada@example.org", "bob@example.org"], "Grüße")


@needs(GIT_SEND_EMAIL)
async def test_git_sends_patches(place: Place, tmp_path: Path) -> None:
    author = {"GIT_AUTHOR_NAME": "Jörg", "GIT_COMMITTER_NAME": "Jörg", "EMAIL": "joerg@example.com"}
    git = ("git", "-c", "user.email=joerg@example.com", "-c", "commit.gpgsign=false")
    await place.run(*git, "init", "-q", cwd=tmp_path, more=author)
    await place.run(*git, "commit", "-q", "--allow-empty", "-m", "First", cwd=tmp_path, more=author)
    (tmp_path / "a").write_text(".\n.. dots\nGrüße\n", encoding="utf-8")
    await place.run("git", "add", "a", cwd=tmp_path)
    await place.run(*git, "commit", "-q", "-m", "Füge Punkte hinzu", cwd=tmp_path, more=author)
    options = (
        "--smtp-server=127.0.0.1",
        f"--smtp-server-port={place.port}",
        "--to=list@example.org",
        "--confirm=never",
    )
    await place.run(*git, "send-email", "--8bit-encoding=UTF-8", *options, "-1", cwd=tmp_path, more=author)
    mail = await place.arrived("[PATCH] Füge Punkte hinzu")
    assert "+.\n+.. dots\n+Grüße\n" in mail["text"].replace("\r\n", "\n")


PHP = """
require '/usr/share/php/libphp-phpmailer/autoload.php';
$mail = new PHPMailer\\\\PHPMailer\\\\PHPMailer(true);
$mail->isSMTP(); $mail->Host = '127.0.0.1'; $mail->Port = getenv('PORT'); $mail->SMTPAutoTLS = false;
$mail->CharSet = 'UTF-8';
$mail->setFrom('shop@example.com', 'Der Shop'); $mail->addAddress('ada@example.org', 'Ada Lovelace, Gräfin');
$mail->addBCC('bob@example.org'); $mail->Subject = 'PHPMailer: Grüße'; $mail->isHTML();
$mail->Body = '<p>Grüße</p>'; $mail->AltBody = 'Grüße';
$mail->addStringAttachment('a;b', '請求書 2026年11月分.csv');
$mail->send();
""".replace("\\\\", "\\")


@needs("php")
@needs(PHPMAILER)
async def test_phpmailer_sends_mail(place: Place) -> None:
    await place.run("php", "-r", PHP)
    mail = await place.arrived("PHPMailer: Grüße")
    assert (sorted(mail["to"]), mail["html"].strip()) == (["ada@example.org", "bob@example.org"], "<p>Grüße</p>")
    assert [file["name"] for file in mail["attachments"]] == ["請求書 2026年11月分.csv"]


@pytest.fixture
def postfix(place: Place, tmp_path: Path) -> Path:
    """The configuration of a Postfix that hands all mail to the SMTP server and listens on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("etc", "data", "queue"):
        (tmp_path / name).mkdir()
    shutil.chown(tmp_path / "data", "postfix")
    for folder in [tmp_path, *list(tmp_path.parents)[:2]]:
        folder.chmod(0o755)
    settings = {
        "compatibility_level": "3.6",
        "queue_directory": str(tmp_path / "queue"),
        "data_directory": str(tmp_path / "data"),
        # Its first choice, /dev/stdout, is for a Postfix in the foreground only (postfix.org/MAILLOG_README.html).
        "maillog_file": str(tmp_path / "log"),
        "maillog_file_prefixes": str(tmp_path),
        "relayhost": f"[127.0.0.1]:{place.port}",
        "myhostname": "web1.example.com",
        "mydestination": "",
        "mynetworks": "127.0.0.0/8",
        "inet_interfaces": "127.0.0.1",
        "inet_protocols": "ipv4",
        "alias_maps": "",
        "smtp_dns_support_level": "disabled",
        "smtputf8_enable": "yes",
    }
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    (tmp_path / "etc/main.cf").write_text(lines, encoding="utf-8")
    master = Path("/etc/postfix/master.cf")
    found = master if master.exists() else Path("/usr/share/postfix/master.cf.dist")
    services = [
        line for line in found.read_text(encoding="utf-8").splitlines() if not line.startswith("smtp      inet")
    ]
    text = "\n".join([f"127.0.0.1:{port} inet n - n - - smtpd", *services]) + "\n"
    (tmp_path / "etc/master.cf").write_text(text, encoding="utf-8")
    (tmp_path / "port").write_text(str(port))
    return tmp_path


@needs("postfix")
@pytest.mark.skipif(getpass.getuser() != "root", reason="Postfix starts as root only")
async def test_postfix_forwards_mail_with_utf8_addresses(place: Place, postfix: Path) -> None:
    config = str(postfix / "etc")
    await place.run("postfix", "-c", config, "start")
    try:
        port = (postfix / "port").read_text()
        await place.run(
            *("swaks", "--server", "127.0.0.1", "--port", port, "--from", "root@web1.example.com"),
            *("--to", "jörg@example.org", "--h-Subject", "Postfix: forwarded", "--body", "Hi"),
        )
        assert (await place.arrived("Postfix: forwarded"))["to"] == ["jörg@example.org"]
    finally:
        await place.run("postfix", "-c", config, "stop")
