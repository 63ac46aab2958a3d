"""Replace substitution tags, SendGrid's older form of templates, so that the mail can leave by any route.

A tag is any text. In the subject, the bodies and Reply-To its value replaces it: unescaped, once, the longest tag first.
Sections are values shared by all recipients, which may contain tags themselves
(twilio.com/docs/sendgrid/for-developers/sending-email/substitution-tags and …/section-tags).
"""

import re
from collections.abc import Mapping


class Tags:
    """The tags of one message, ready for replacement."""

    def __init__(self, substitutions: Mapping[str, str], sections: Mapping[str, str]) -> None:
        self._steps = [table for table in (_Table(substitutions), _Table(sections)) if table]
        if len(self._steps) > 1:
            # First a section that a value refers to, then the tags within the section.
            self._steps.append(self._steps[0])

    def __bool__(self) -> bool:
        return bool(self._steps)

    def fill(self, text: str) -> str:
        """Replace every tag in a text by its value."""
        for table in self._steps:
            text = table.fill(text)
        return text


class _Table:
    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {tag: value for tag, value in values.items() if tag}
        longest_first = sorted(self._values, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def __bool__(self) -> bool:
        return bool(self._values)

    def fill(self, text: str) -> str:
        return self._pattern.sub(lambda found: self._values[found[0]], text)
