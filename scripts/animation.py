"""`python -m scripts.animation`: draw the animation of the README in both languages (docs/images).

Twenty seconds: mail is sent, the provider's key stops working, the route is held while Relay still accepts mail, a new key is
stored, a probe succeeds, and all waiting mail is sent. CSS animates it, so that it plays where scripts do not run.
"""

from pathlib import Path

import msgspec

FOLDER = Path(__file__).parent.parent / "docs/images"
SECONDS = 20
APP, WAITING, PROVIDER = 150, 390, 720
LANE = 118
HELD_AT, RESUMED_AT = 6.0, 13.0
TIMES = ((0.0, 5.5), (5.5, 9.0), (9.0, 12.5), (12.5, 15.5), (15.5, 20.0))
"""When each caption is shown."""


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of a language."""

    title: str
    application: str
    provider: str
    active: str
    held: str
    captions: tuple[str, str, str, str, str]


PICTURES = {
    "held-and-resumed.svg": Words(
        title="Mail is sent, waits while the route is held, and is sent when the key works again.",
        application="Application",
        provider="Provider",
        active="route active",
        held="route held",
        captions=(
            "Your application sends. Relay answers 202 when the mail is durable, and delivers it.",
            "The provider refuses: the key was revoked. Relay holds the route and raises an alert.",
            "Mail is still accepted. It waits, and none of it fails.",
            "A new key. The probe succeeds, and the route is active again.",
            "Everything that waited is sent.",
        ),
    ),
    "held-and-resumed.ja.svg": Words(
        title="メールを送信し、ルートの保留中は待機し、キーが使えるようになると送信を再開します。",
        application="アプリケーション",
        provider="プロバイダー",
        active="ルート: 稼働中",
        held="ルート: 保留中",
        captions=(
            "アプリケーションが送信すると、Relay は永続化してから 202 を返し、配信します。",
            "キーの失効でプロバイダーが拒否。Relay はルートを保留し、アラートを上げます。",
            "その間もメールは受け付けます。待機するだけで、失敗にはなりません。",
            "キーを更新するとプローブが成功し、ルートが稼働に戻ります。",
            "待っていたメールがすべて送信されます。",
        ),
    ),
}


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """One mail: the times, in seconds, when the application sends it and when the provider accepts it."""

    sent: float
    taken: float
    place: int = 0


def mails() -> list[Mail]:
    """Return the mails of the picture: some pass, some wait until the route is resumed."""
    passing = [Mail(sent=at, taken=at + 1.6) for at in (0.4, 1.6, 2.8, 4.0)]
    waiting = [
        Mail(sent=at, taken=RESUMED_AT + 1.6 + number * 0.5, place=number)
        for number, at in enumerate((6.4, 7.6, 8.8, 10.0, 11.2))
    ]
    return passing + waiting + [Mail(sent=at, taken=at + 1.6) for at in (17.0, 18.0)]


def drawing(words: Words) -> str:
    """Return the whole SVG."""
    envelopes = [_envelope(number, mail) for number, mail in enumerate(mails())]
    styles = [style for _, style in envelopes] + [_caption_style(number, *time) for number, time in enumerate(TIMES)]
    captions = "".join(
        f'<text class="caption c{number}" x="435" y="222">{text}</text>' for number, text in enumerate(words.captions)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 870 250" role="img" aria-labelledby="title">'
        f'<title id="title">{words.title}</title>'
        f"<style>{_BASE}{_states()}{''.join(styles)}</style>"
        '<rect class="page" width="870" height="250" rx="12"/>'
        f"{_box(60, 150, words.application)}"
        f"{_box(330, 210, 'Relay', 'route', (words.active, words.held))}"
        f"{_box(660, 150, words.provider, 'provider', ('202', '401'))}"
        f'<path class="line" d="M210 {LANE}H330M540 {LANE}H660"/>'
        f"{''.join(shape for shape, _ in envelopes)}{captions}</svg>\n"
    )


_BASE = (
    "text{font-family:system-ui,sans-serif;fill:#1f2937}.page{fill:#f8fafc}.box{fill:#fff;stroke:#94a3b8;stroke-width:2}"
    ".name{font-size:17px;font-weight:600;text-anchor:middle}.word{font-size:13px;text-anchor:middle;opacity:0}"
    ".line{stroke:#cbd5e1;stroke-width:2;stroke-dasharray:4 5}.caption{font-size:16px;text-anchor:middle;opacity:0}"
    ".mail{opacity:0}.mail rect{fill:#2563eb}.mail path{fill:none;stroke:#fff;stroke-width:2}"
)


def _box(x: int, width: int, name: str, kind: str = "", states: tuple[str, str] | None = None) -> str:
    """Return a box with its name, and its texts in the good and in the bad state."""
    middle = x + width // 2
    shape = f'<rect class="box {kind}" x="{x}" y="48" width="{width}" height="140" rx="10"/>'
    pairs = zip(("good", "bad"), states or (), strict=False)
    said = "".join(f'<text class="word {state}" x="{middle}" y="176">{text}</text>' for state, text in pairs)
    return f'{shape}<text class="name" x="{middle}" y="76">{name}</text>{said}'


def _states() -> str:
    """Return the styles of the good and the bad state: green and red, by time."""
    held, resumed = _percent(HELD_AT), _percent(RESUMED_AT)
    return (
        f"@keyframes good{{0%,{held}{{opacity:1}}{held},{resumed}{{opacity:0}}{resumed},100%{{opacity:1}}}}"
        f"@keyframes bad{{0%,{held}{{opacity:0}}{held},{resumed}{{opacity:1}}{resumed},100%{{opacity:0}}}}"
        f"@keyframes border{{0%,{held}{{stroke:#16a34a}}{_percent(HELD_AT + 0.3)},{resumed}{{stroke:#dc2626}}"
        f"{_percent(RESUMED_AT + 0.3)},100%{{stroke:#16a34a}}}}"
        f".good{{animation:good {SECONDS}s infinite step-end;fill:#15803d}}"
        f".bad{{animation:bad {SECONDS}s infinite step-end;fill:#b91c1c}}"
        f".route,.provider{{animation:border {SECONDS}s infinite}}"
    )


def _envelope(number: int, mail: Mail) -> tuple[str, str]:
    """Return a mail's shape, and the styles that move it."""
    waits_at = WAITING - 36 + mail.place * 24
    steps = (
        (mail.sent, APP, 0),
        (mail.sent + 0.1, APP, 1),
        (mail.sent + 0.7, waits_at, 1),
        (mail.taken - 0.6, waits_at, 1),
        (mail.taken, PROVIDER, 1),
        (mail.taken + 0.3, PROVIDER, 0),
    )
    frames = "".join(
        f"{_percent(at)}{{transform:translate({x}px,{LANE}px);opacity:{opacity}}}" for at, x, opacity in steps
    )
    shape = '<rect x="-11" y="-8" width="22" height="16" rx="2"/><path d="M-9 -5L0 2L9 -5"/>'
    style = f"@keyframes m{number}{{{frames}}}"
    return (
        f'<g class="mail m{number}">{shape}</g>',
        f"{style}.m{number}{{animation:m{number} {SECONDS}s infinite linear}}",
    )


def _caption_style(number: int, begin: float, end: float) -> str:
    shown = f"{_percent(begin + 0.3)},{_percent(end - 0.3)}{{opacity:1}}"
    frames = f"0%,{_percent(begin)}{{opacity:0}}{shown}{_percent(end)},100%{{opacity:0}}"
    return f"@keyframes c{number}{{{frames}}}.c{number}{{animation:c{number} {SECONDS}s infinite}}"


def _percent(at: float) -> str:
    return f"{round(100 * min(at, SECONDS) / SECONDS, 2):g}%"


if __name__ == "__main__":
    for name, words in PICTURES.items():
        (FOLDER / name).write_text(drawing(words))
