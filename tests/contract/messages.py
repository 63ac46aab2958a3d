"""Messages for the provider suite: a small one, one with every feature, and malformed ones."""

from typing import Any

from relay.core.model import Address, Attachment, Message
from relay.core.send_request import SendRequest
from relay.providers.contract import Capabilities
from standins.smtp.server import DEFAULT_USER
from tests.send_requests import send_request_of

SENDER = Address(email=DEFAULT_USER, name="Relay")


def mail(*emails: str, **fields: Any) -> Message:
    """Return a small message, to Ada or to `emails`."""
    to = tuple(Address(email=email) for email in emails or ("ada@example.org",))
    return Message(**{"sender": SENDER, "to": to, "subject": "Hello", "text": "A text", **fields})


def send_request(message: Message | None = None, **fields: Any) -> SendRequest:
    """Return a request to send this message, or a small one."""
    return send_request_of(message or mail(), **fields)


PIXEL = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
TEN_MEGABYTES = 10 * 1024 * 1024
HTML = '<p>四半期 &amp; <b>"quoted"</b><img src="cid:logo@example.com"></p>'


def rich_mail(capabilities: Capabilities) -> Message:
    """Return a message with every feature and a file of 10 MB, or a smaller one if the provider allows less."""
    size = TEN_MEGABYTES if capabilities.max_bytes > 2 * TEN_MEGABYTES else capabilities.max_bytes // 2
    return Message(
        sender=Address(email=SENDER.email, name="Sales @ Example, Inc."),
        to=(
            Address(email="jane@example.org", name='Doe, Jane "JD"'),
            Address(email="taro@example.org", name="山田 太郎"),
        ),
        cc=(Address(email="zoe@example.org", name="Zoë O'Neil (Legal); Sons"),),
        bcc=(Address(email="eve@example.org", name="Eve"),),
        reply_to=(Address(email="help@example.com", name="Help, please"),),
        subject="第3四半期のご報告 — 請求書と議事録をお送りいたします。ご確認のほどよろしくお願い申し上げます 👩‍💻",
        text='一行目\r\nGrüße, "quoted"\r\n.\r\n..two dots\r\n' + "long " * 300,
        html=HTML,
        headers={"X-Order": "42; a=b", "X-Campaign": "夏"},
        attachments=(
            Attachment(
                name="logo.png", type="image/png", content=PIXEL, disposition="inline", content_id="logo@example.com"
            ),
            Attachment(name="請求書 (最終), v2.pdf", type="application/pdf", content=b"%PDF" + bytes(size)),
        ),
    )


NASTY = [
    mail("ada"),
    mail("ada@exa mple.org"),
    mail("a\r\nb@example.org"),
    mail("ada@" + "x" * 300 + ".org"),
    mail(subject="\ud800 \x00 \r\nBcc: eve@example.org", text="\ud800\x00"),
    mail(headers={"X-A": "b\r\nBcc: eve@example.org", "a b": "c"}),
    mail(headers={"From": "eve@example.org", "Content-Type": "text/evil"}),
    mail(to=(Address(email="ada@example.org", name='"\r\nBcc: <eve@example.org>, \ud800'),)),
    mail(attachments=(Attachment(name="\x00/../\r\n", type="not a type", content_id="<\r\n>", content=b""),)),
    mail(attachments=(Attachment(name="", type="", content=b"x", disposition="inline"),)),
    mail(raw=b"\xff\xfe\x00 not a message"),
    mail(text=None, html=None, subject=""),
    mail(reply_to=(Address(email="nobody"),), return_path="<>"),
    mail(options={"sendgrid": {"template_id": 5}, "smtp": {"x": 1}}),
]
"""Messages that acceptance refuses or corrects, but that a redrive or a bug could still send."""
