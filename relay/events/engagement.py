"""Judge whether a machine or a person loaded an image or followed a link, where the vendor says enough.

Sources: twilio.com/docs/sendgrid/for-developers/tracking-events/event (`sg_machine_open`: Apple's Mail Privacy Protection);
learn.microsoft.com/azure/event-grid/communication-services-email-events (`userAgent`); bird.com/blog/gmail-prefetching-images
(Gmail's prefetch); scientiamobile.com/what-is-google-image-proxy (Gmail's proxy, which loads an image when the mail is shown).
"""

from relay.core.events import LikelyActor

_APPLE = "mozilla/5.0"
"""The user agent of Apple's proxy, which loads images whether or not the mail is read."""
_GMAIL_PREFETCH = "edge/12.246 mozilla/5.0"
"""The end of Gmail's user agent when it loads images before the mail is shown."""
_GMAIL_SHOWN = "googleimageproxy"


def likely_actor(user_agent: object, *, is_machine: object = None) -> str:
    """Return who is likely to have acted; empty if nothing says so. `is_machine` is the vendor's own judgment."""
    agent = user_agent.strip().lower() if isinstance(user_agent, str) else ""
    if is_machine is True or agent.endswith(_GMAIL_PREFETCH):
        return LikelyActor.MACHINE
    if is_machine is False or _GMAIL_SHOWN in agent:
        return LikelyActor.PERSON
    return LikelyActor.MACHINE if agent == _APPLE else ""
