"""Programs that others wrote send through Relay: Django, Airflow, Node, PHP, and Debian's mail programs.

They run if `RELAY_OTHER_PROGRAMS` names a folder with

- `venv`: a virtual environment with `django django-sendgrid-v5 django-anymail[sendgrid]`;
- `node_modules`: `npm install @sendgrid/mail nodemailer nodemailer-sendgrid`;

and what is there of Debian's packages `swaks msmtp git-email php-cli libphp-phpmailer libsasl2-modules`, and `postfix` or
`exim4-daemon-light`.
"""

import asyncio
import base64
import getpass
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sendgrid
from sendgrid.helpers import mail as helpers

from standins.tls import Authority
from tests.e2e.running import RunningRelay, running_relay
from tests.e2e.test_mail_programs import start_smtp
from tests.ports import free_port

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
    """A relay that captures mail, a local SMTP server in front of it, and one with TLS and AUTH (STARTTLS, implicit TLS)."""

    def __init__(self, relay: RunningRelay, port: int, tls_ports: Sequence[int], authority: Path) -> None:
        self.relay = relay
        self.port = port
        self.starttls, self.tls = tls_ports
        self.authority = str(authority)
        self.environment = {"RELAY_URL": relay.url, "RELAY_KEY": relay.key, "PORT": str(port), "CA": str(authority)}

    async def run(self, *argv: str, text: str = "", more: Mapping[str, str] | None = None, cwd: Path = FOLDER) -> str:
        """Run a program that must succeed. Returns its output."""
        code, output = await self.attempt(*argv, text=text, more=more, cwd=cwd)
        assert code == 0, output
        return output

    async def attempt(
        self, *argv: str, text: str = "", more: Mapping[str, str] | None = None, cwd: Path = FOLDER
    ) -> tuple[int, str]:
        """Run a program. Returns its exit code and output."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env={**os.environ, **self.environment, **(more or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate(text.encode())
        return process.returncode or 0, output.decode()

    async def refused_then_accepted(self, *argv: str, text: str = "", **more: str) -> None:
        """Run a program that signs in, with `{key}` in its arguments or `SMTP_KEY`: with a wrong key, then with the right one."""
        for key, is_right in ((f"{self.relay.key[:-1]}!", False), (self.relay.key, True)):
            own = [each.replace("{key}", key) for each in argv]
            code, output = await self.attempt(*own, text=text, more={**more, "SMTP_KEY": key})
            assert (code == 0) is is_right, output

    async def arrived(self, subject: str) -> Any:
        """Return the captured mail with this subject."""
        query = {"subject": subject, "timeout": "20"}
        status, mail, _ = await self.relay.call("GET", "/v1/inbox/wait", params=query)
        assert status == 200, mail
        return mail


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder, authority = tmp_path_factory.mktemp("tls"), Authority()
    certificate = folder / "server.pem"
    certificate.write_bytes(authority.server_pem())
    options = ("--listen-tls", "127.0.0.1:0", "--certificate", str(certificate))
    async with running_relay({}) as relay:
        local = await start_smtp(relay.url, relay.key)
        server = await start_smtp(relay.url, "", *options, ports=2)
        [line] = await local.until_ready(timeout_seconds=60)
        lines = await server.until_ready(timeout_seconds=60)
        ports = [int(each["port"]) for each in lines]
        yield Place(relay, int(line["port"]), ports, authority.write(folder / "ca.pem"))
        await server.stop(grace_seconds=10)
        await local.stop(grace_seconds=10)


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


def make_readable(folder: Path) -> None:
    """Let other users read a temporary folder: mail programs give up the rights of root."""
    for each in [folder, *list(folder.parents)[:2]]:
        each.chmod(0o755)


def start_postfix_in(folder: Path, relayhost: str, more: Mapping[str, str]) -> str:
    """Write the configuration of a Postfix that hands all mail to a server and listens on a free port. Returns its folder."""
    port = free_port()
    for name in ("etc", "data", "queue"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    make_readable(folder)
    settings = {
        "compatibility_level": "3.6",
        "queue_directory": str(folder / "queue"),
        "data_directory": str(folder / "data"),
        # Its first choice, /dev/stdout, is for a Postfix in the foreground only (postfix.org/MAILLOG_README.html).
        "maillog_file": str(folder / "log"),
        "maillog_file_prefixes": str(folder),
        "relayhost": relayhost,
        "myhostname": "web1.example.com",
        "mydestination": "",
        "mynetworks": "127.0.0.0/8",
        "inet_interfaces": "127.0.0.1",
        "inet_protocols": "ipv4",
        "alias_maps": "",
        "smtp_dns_support_level": "disabled",
        "smtp_host_lookup": "native",
        "smtputf8_enable": "yes",
        **more,
    }
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    (folder / "etc/main.cf").write_text(lines, encoding="utf-8")
    master = Path("/etc/postfix/master.cf")
    found = master if master.exists() else Path("/usr/share/postfix/master.cf.dist")
    # Not in a chroot, where it would find neither the names of hosts nor its plugins for AUTH.
    services = [
        " ".join([*words[:4], "n", *words[5:]]) if (words := line.split()) and not line.startswith((" ", "#")) else line
        for line in found.read_text(encoding="utf-8").splitlines()
        if not line.startswith("smtp      inet")
    ]
    text = "\n".join([f"127.0.0.1:{port} inet n - n - - smtpd", *services]) + "\n"
    (folder / "etc/master.cf").write_text(text, encoding="utf-8")
    (folder / "port").write_text(str(port))
    return str(folder / "etc")


is_root = pytest.mark.skipif(getpass.getuser() != "root", reason="Postfix starts as root only")


@needs("postfix")
@is_root
async def test_postfix_forwards_mail_with_utf8_addresses(place: Place, tmp_path: Path) -> None:
    config = start_postfix_in(tmp_path, f"[127.0.0.1]:{place.port}", {})
    await place.run("postfix", "-c", config, "start")
    try:
        port = (tmp_path / "port").read_text()
        await place.run(
            *("swaks", "--server", "127.0.0.1", "--port", port, "--from", "root@web1.example.com"),
            *("--to", "jörg@example.org", "--h-Subject", "Postfix: forwarded", "--body", "Hi"),
        )
        assert (await place.arrived("Postfix: forwarded"))["to"] == ["jörg@example.org"]
    finally:
        await place.run("postfix", "-c", config, "stop")


# ── TLS and AUTH, with a wrong key and the right one ──


@needs("swaks")
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_swaks_signs_in(place: Place, mechanism: str) -> None:
    await place.refused_then_accepted(
        *("swaks", "--server", "localhost", "--port", str(place.starttls), "--tls", "--tls-verify"),
        *("--tls-ca-path", place.authority, "--auth", mechanism, "--auth-user", "first", "--auth-password", "{key}"),
        *("--from", "a@example.com", "--to", "ada@example.org", "--h-Subject", f"Swaks: {mechanism}"),
    )
    assert (await place.arrived(f"Swaks: {mechanism}"))["to"] == ["ada@example.org"]


@needs("msmtp")
@pytest.mark.parametrize("way", ["starttls", "tls"])
async def test_msmtp_signs_in(place: Place, way: str) -> None:
    port, begins = (place.starttls, "on") if way == "starttls" else (place.tls, "off")
    await place.refused_then_accepted(
        *("msmtp", "--host=localhost", f"--port={port}", "--tls=on", f"--tls-starttls={begins}"),
        *(f"--tls-trust-file={place.authority}", "--auth=plain", "--user=first", "--passwordeval=echo {key}"),
        *("--from=a@example.com", "ada@example.org"),
        text=f"From: a@example.com\nTo: ada@example.org\nSubject: Msmtp: {way}\n\nHi\n",
    )
    await place.arrived(f"Msmtp: {way}")


NODE_TLS = """
import nodemailer from "nodemailer";
import { readFileSync } from "node:fs";
const { SMTP_KEY, CA } = process.env;
const [port, secure] = process.argv.slice(-2);
const auth = { user: "first", pass: SMTP_KEY }, tls = { ca: readFileSync(CA) };
const options = { host: "localhost", port, secure: secure === "tls", requireTLS: true, auth, tls };
await nodemailer.createTransport(options)
  .sendMail({ from: "a@example.com", to: "ada@example.org", subject: `Node: ${secure}`, text: "Hi" });
"""


@needs(FOLDER / "node_modules")
@pytest.mark.parametrize("way", ["starttls", "tls"])
async def test_nodemailer_signs_in(place: Place, way: str) -> None:
    port = place.starttls if way == "starttls" else place.tls
    await place.refused_then_accepted("node", "--input-type=module", "--eval", NODE_TLS, "--", str(port), way)
    await place.arrived(f"Node: {way}")


PHP_TLS = """
require '/usr/share/php/libphp-phpmailer/autoload.php';
$mail = new PHPMailer\\PHPMailer\\PHPMailer(true);
$mail->isSMTP(); $mail->Host = 'localhost'; $mail->Port = getenv('SMTP_PORT'); $mail->SMTPSecure = getenv('WAY');
$mail->SMTPOptions = ['ssl' => ['cafile' => getenv('CA')]];
$mail->SMTPAuth = true; $mail->Username = 'first'; $mail->Password = getenv('SMTP_KEY');
$mail->setFrom('shop@example.com'); $mail->addAddress('ada@example.org'); $mail->Subject = 'PHPMailer: ' . getenv('WAY');
$mail->Body = 'Hi';
$mail->send();
""".replace("\\\\", "\\")


@needs("php")
@needs(PHPMAILER)
@pytest.mark.parametrize("way", ["tls", "ssl"])
async def test_phpmailer_signs_in(place: Place, way: str) -> None:
    port = place.starttls if way == "tls" else place.tls
    await place.refused_then_accepted("php", "-r", PHP_TLS, SMTP_PORT=str(port), WAY=way)
    await place.arrived(f"PHPMailer: {way}")


async def has_logged(log: Path, text: str) -> None:
    """Wait until a text is in a log."""
    async with asyncio.timeout(30):
        while text not in await asyncio.to_thread(log.read_text):  # noqa: ASYNC110 (another program writes it)
            await asyncio.sleep(0.1)


@needs("postfix")
@needs(Path("/usr/lib/x86_64-linux-gnu/sasl2/libplain.so.2"))
@is_root
async def test_postfix_as_a_satellite_keeps_mail_until_its_key_is_right(place: Place, tmp_path: Path) -> None:
    server = f"[localhost]:{place.starttls}"
    passwords = tmp_path / "passwords"
    passwords.write_text(f"{server} first:wrong\n")
    more = {
        "smtp_sasl_auth_enable": "yes",
        "smtp_sasl_security_options": "noanonymous",
        "smtp_sasl_password_maps": f"texthash:{passwords}",
        "smtp_tls_security_level": "secure",
        "smtp_tls_CAfile": place.authority,
    }
    config = start_postfix_in(tmp_path, server, more)
    await place.run("postfix", "-c", config, "start")
    try:
        await place.run(
            *(
                "swaks",
                "--server",
                "127.0.0.1",
                "--port",
                (tmp_path / "port").read_text(),
                "--from",
                "root@example.com",
            ),
            *("--to", "ada@example.org", "--h-Subject", "Postfix: satellite", "--body", "Hi"),
        )
        await has_logged(tmp_path / "log", "SASL authentication failed")
        passwords.write_text(f"{server} first:{place.relay.key}\n")
        await place.run("postfix", "-c", config, "reload")
        await place.run("postqueue", "-c", config, "-f")
        assert (await place.arrived("Postfix: satellite"))["to"] == ["ada@example.org"]
    finally:
        await place.run("postfix", "-c", config, "stop")


EXIM = """
exim_path = {program}
exim_user = mail
exim_group = mail
never_users =
spool_directory = {folder}/spool
log_file_path = {folder}/log_%slog
primary_hostname = web1.example.com
tls_advertise_hosts =
keep_environment =
begin routers
all:
  driver = manualroute
  transport = relay
  route_list = * localhost byname
  self = send
begin transports
relay:
  driver = smtp
  user = mail
  port = {port}
  hosts_require_auth = *
  hosts_require_tls = *
  tls_verify_certificates = {authority}
  tls_verify_hosts = *
  hosts_try_chunking = *
begin retry
* * F,1d,1s
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^first^{key}
"""


@needs("exim4")
@pytest.mark.skipif(getpass.getuser() != "root", reason="Exim reads other configurations as root only")
async def test_exim_sends_in_chunks_after_its_key_is_right(place: Place, tmp_path: Path) -> None:
    make_readable(Path(place.authority).parent)
    make_readable(tmp_path)
    shutil.chown(tmp_path, "mail")
    config = tmp_path / "exim.conf"
    config.touch(mode=0o600)

    def configure(key: str) -> None:
        config.write_text(
            EXIM.format(
                program=shutil.which("exim4"),
                folder=tmp_path,
                port=place.starttls,
                authority=place.authority,
                key=key,
            )
        )

    configure("wrong")
    exim = ("exim4", "-C", str(config))
    text = "From: root@example.com\nTo: ada@example.org\nSubject: Exim: chunks\n\n.\nHi\n"
    await place.run(*exim, "-odq", "-i", "-f", "root@example.com", "ada@example.org", text=text)
    await place.run(*exim, "-qff")
    assert "535" in (tmp_path / "log_mainlog").read_text()
    configure(place.relay.key)
    await place.run(*exim, "-qff")
    mail = await place.arrived("Exim: chunks")
    assert mail["text"].replace("\r\n", "\n").strip() == ".\nHi"
    assert " K " in (tmp_path / "log_mainlog").read_text(), "CHUNKING was used"
