"""Write the pages behind an unsubscribe link: HTML without scripts, in the reader's language."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from html import escape

from relay.rendering.locales import fallbacks
from relay.unsubscribe.preferences import Preference
from relay.unsubscribe.topics import Topic

LANGUAGES = ("en", "ja")
_MAX_RANGES = 20
_RANGE = re.compile(r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)(?:\s*;\s*q=([01](?:\.\d{0,3})?))?")
"""A language range with its weight (RFC 9110 section 12.5.4)."""

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:1rem/1.6 system-ui,sans-serif;max-width:36rem;margin:10vh auto;padding:0 1.25rem;color:#1b1b1b;background:#fff}"
    "h1{font-size:1.5rem;line-height:1.3}"
    "fieldset{border:0;margin:1.5rem 0;padding:0}legend{font-weight:600;padding:0}"
    "label{display:block;padding:.5rem 0}small{display:block;padding-left:1.75rem;color:#595959}"
    "button{font:inherit;padding:.6rem 1.25rem;border:2px solid #0b57d0;border-radius:.4rem;background:#0b57d0;color:#fff}"
    "a{color:#0b57d0}:focus-visible{outline:3px solid #e07a00;outline-offset:2px}"
    "@media(prefers-color-scheme:dark){body{color:#e8e8e8;background:#121212}small{color:#b0b0b0}a{color:#8ab4f8}}"
)
STYLE_SOURCE = f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
"""The source in a content security policy that allows the style of these pages."""
ASK, DONE, CHOOSE, SAVED = "ask", "done", "choose", "saved"

_TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "ask": "Unsubscribe from “{topic}”?",
        "ask_text": "{email} will get no more mail about this. Other mail is not affected.",
        "button": "Unsubscribe",
        "done": "You are unsubscribed from “{topic}”",
        "done_text": "{email} gets no more mail about this. Mail that is already on its way may still arrive.",
        "to_choose": "Choose what mail you get",
        "choose": "What mail do you want?",
        "choose_text": "These choices apply to {email}.",
        "topics": "Send me mail about",
        "save": "Save",
        "saved": "Your choices are saved.",
        "wrong": "This link does not work",
        "wrong_text": "It may be incomplete. Open the link in the mail again.",
        "later": "Please try again later",
        "later_text": "Nothing was changed.",
    },
    "ja": {
        "ask": "「{topic}」の配信を停止しますか？",
        "ask_text": "{email} 宛てに、この内容のメールを送らないようにします。ほかのメールには影響しません。",
        "button": "配信を停止する",
        "done": "「{topic}」の配信を停止しました",
        "done_text": "今後、{email} 宛てにこの内容のメールは送られません。すでに送信中のメールは届くことがあります。",
        "to_choose": "受け取るメールを選ぶ",
        "choose": "どのメールを受け取りますか？",
        "choose_text": "{email} 宛てのメールの設定です。",
        "topics": "受け取る内容",
        "save": "保存する",
        "saved": "設定を保存しました。",
        "wrong": "このリンクは使えません",
        "wrong_text": "リンクが途中で切れている可能性があります。メールのリンクをもう一度開いてください。",
        "later": "しばらくしてからもう一度お試しください",
        "later_text": "何も変更されていません。",
    },
}


def accepted(header: str) -> Sequence[str]:
    """Return the languages of an Accept-Language field in lower case, the best first."""
    ranges = [found for part in header.split(",")[:_MAX_RANGES] if (found := _RANGE.fullmatch(part.strip()))]
    weights: dict[str, float] = {}
    for found in ranges:
        weights.setdefault(found[1].lower(), float(found[2] or 1))
    return [name for name in sorted(weights, key=lambda name: -weights[name]) if weights[name] and name != "*"]


def language_of(languages: Sequence[str]) -> str:
    """Return the language of the page."""
    return next((name[:2] for name in languages if name.partition("-")[0] in LANGUAGES), LANGUAGES[0])


def question(topic: Topic, email: str, languages: Sequence[str]) -> bytes:
    """Ask whether to unsubscribe. Opening the page changes nothing."""
    texts, values = _texts(languages), _values(topic, email, languages)
    body = (
        f"<p>{texts['ask_text'].format(**values)}</p>"
        '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
        f"<button>{texts['button']}</button></form>"
        f'<p><a href="?page={CHOOSE}">{texts["to_choose"]}</a></p>'
    )
    return _page(languages, texts["ask"].format(**values), body)


def confirmation(topic: Topic, email: str, languages: Sequence[str]) -> bytes:
    """Say that the recipient is unsubscribed."""
    texts, values = _texts(languages), _values(topic, email, languages)
    body = f'<p role="status">{texts["done_text"].format(**values)}</p>'
    body += f'<p><a href="?page={CHOOSE}">{texts["to_choose"]}</a></p>'
    return _page(languages, texts["done"].format(**values), body)


def choices(
    preferences: Sequence[Preference], email: str, languages: Sequence[str], *, is_saved: bool = False
) -> bytes:
    """Offer all topics with check boxes. The form also has the choices it showed: an old one changes only the clicked ones."""
    texts = _texts(languages)
    rows = "".join(_row(number, each, languages) for number, each in enumerate(preferences))
    body = (
        (f'<p role="status"><strong>{texts["saved"]}</strong></p>' if is_saved else "")
        + f"<p>{texts['choose_text'].format(email=escape(masked(email)))}</p>"
        + f'<form method="post" action="?page={CHOOSE}"><fieldset><legend>{texts["topics"]}</legend>{rows}</fieldset>'
        + f"<button>{texts['save']}</button></form>"
    )
    return _page(languages, texts["choose"], body)


def refusal(kind: str) -> bytes:
    """Say that the link is `wrong`, or that the reader must try `later`, in every language."""
    first, *others = LANGUAGES
    body = f"<p>{_TEXTS[first][f'{kind}_text']}</p>" + "".join(
        f'<section lang="{name}"><h2>{_TEXTS[name][kind]}</h2><p>{_TEXTS[name][f"{kind}_text"]}</p></section>'
        for name in others
    )
    return _page((first,), _TEXTS[first][kind], body)


def masked(email: str) -> str:
    """Mask an address so that its owner recognizes it and others cannot use it."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}•••@{domain}"


def _row(number: int, preference: Preference, languages: Sequence[str]) -> str:
    topic = preference.topic
    name, checked = escape(topic.name), " checked" if preference.is_subscribed else ""
    about = _chosen(topic.descriptions, languages)
    described = f' aria-describedby="about-{number}"' if about else ""
    return (
        f'<input type="hidden" name="shown" value="{name}">'
        + (f'<input type="hidden" name="on" value="{name}">' if preference.is_subscribed else "")
        + f'<label><input type="checkbox" name="topic" value="{name}"{checked}{described}> {_title(topic, languages)}</label>'
        + (f'<small id="about-{number}">{about}</small>' if about else "")
    )


def _texts(languages: Sequence[str]) -> Mapping[str, str]:
    return _TEXTS[language_of(languages)]


def _values(topic: Topic, email: str, languages: Sequence[str]) -> Mapping[str, str]:
    return {"topic": _title(topic, languages), "email": escape(masked(email))}


def _title(topic: Topic, languages: Sequence[str]) -> str:
    return _chosen(topic.titles, languages) or escape(topic.name)


def _chosen(texts: Mapping[str, str], languages: Sequence[str]) -> str:
    """Return the text in the best available language, escaped; empty if there is none."""
    wanted = [*(part for name in languages for part in fallbacks(name)), language_of(languages), "en"]
    language = next((name for name in wanted if name in texts), next(iter(texts), ""))
    text = escape(texts.get(language, ""))
    return (
        text
        if not text or language.startswith(language_of(languages))
        else f'<span lang="{escape(language)}">{text}</span>'
    )


def _page(languages: Sequence[str], title: str, body: str) -> bytes:
    plain = re.sub("<[^>]*>", "", title)
    return (
        f'<!doctype html><html lang="{language_of(languages)}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex,nofollow">'
        f"<title>{plain}</title><style>{_STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    ).encode()
