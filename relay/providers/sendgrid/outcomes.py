"""Map SendGrid's responses to POST /v3/mail/send to outcomes. The first rule that matches decides.

Sources: [contract] the vendor's OpenAPI file tsg_mail_v3; [errors] twilio.com/docs/sendgrid/api-reference/mail-send/errors
and its predecessor sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html; [v3 errors]
twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/errors; [4xx] support.sendgrid.com article
18322114821403, "4XX API Errors and Troubleshooting Suggestions".
"""

import re
from collections.abc import Mapping
from datetime import datetime

from relay.core.outcomes import Deferred, Outcome, Rejected, RouteFault, Sent, Unknown
from relay.providers.http_exchange import HttpResponse, ResponseRule, outcome_by_rules, retry_after

_EPOCH_SECONDS = re.compile(r"[0-9]{1,12}")
# fmt: off
RULES = (
    ResponseRule(first=400, pattern=r"less than 30\s?MB|(message|total|combined) size|too large",
        kind=Rejected, code="message_too_large",
        source="[errors] and mail-send/limitations: the total size with attachments must be less than 30 MB"),
    ResponseRule(first=400, pattern=r'"field"\s*:\s*"personalizations\.\d+\.(to|cc|bcc)',
        kind=Rejected, code="invalid_recipient", source="[errors] personalizations.to, .cc, .bcc"),
    ResponseRule(first=400, kind=Rejected, code="invalid_message",
        source="[contract] 400; [errors]: every message of the page"),
    ResponseRule(first=401, pattern="maximum credits exceeded", kind=RouteFault, code="credits_exhausted",
        source="[4xx]; twilio.com/docs/api/errors/60603"),
    ResponseRule(first=401, pattern="not authorized", kind=RouteFault, code="missing_permission",
        source='[4xx] "Authenticated user is not authorized to send mail"; twilio.com/docs/api/errors/60604'),
    ResponseRule(first=401, pattern=r"under review|suspend|deactivat|\bban|frozen|restricted",
        kind=RouteFault, code="account_restricted",
        source="support.sendgrid.com article 360041790293, account states; the wording of their 401 is not documented"),
    ResponseRule(first=401, kind=RouteFault, code="bad_credentials",
        source='[4xx] "The provided authorization grant is invalid, expired, or revoked"; [contract] "authorization required"'),
    ResponseRule(first=403, pattern="sender identity|from address does not match",
        kind=RouteFault, code="sender_not_verified",
        source="twilio.com/docs/api/errors/60222; how-to-use-the-sendgrid-v3-api/responses"),
    ResponseRule(first=403,
        pattern=r"temporar(y|ily) block|under review|suspend|deactivat|\bban|frozen|restricted|not yet|vetting",
        kind=RouteFault, code="account_restricted",
        source='[v3 errors] "Too many bad requests. Temporary block"; github.com/sendgrid/docs/issues/5985, under review'),
    ResponseRule(first=403, kind=RouteFault, code="missing_permission",
        source='[contract] 403 "access forbidden": a key without the scope mail.send, or an account without its rights yet'),
    ResponseRule(first=408, kind=Deferred, code="provider_unavailable",
        source="RFC 9110 section 15.5.9: the request was incomplete"),
    ResponseRule(first=413, kind=Rejected, code="message_too_large", source='[contract] 413 "content too large"'),
    ResponseRule(first=415, kind=Rejected, code="invalid_message", source="[errors] 415 UNSUPPORTED MEDIA TYPE"),
    ResponseRule(first=422, kind=Rejected, code="invalid_message", source="RFC 9110 section 15.5.21"),
    ResponseRule(first=429, kind=Deferred, code="rate_limited",
        source="[v3 errors]; how-to-use-the-sendgrid-v3-api/rate-limits"),
    ResponseRule(first=451, kind=RouteFault, code="misconfigured",
        source="[v3 errors] unavailable due to data residency restrictions: the wrong region's base_url"),
    ResponseRule(first=300, last=407, kind=RouteFault, code="misconfigured",
        source="[contract] 404, 405; [v3 errors] 406; redirects and 407: base_url does not lead to the API"),
    ResponseRule(first=409, last=499, kind=Rejected, code="invalid_message",
        source='[errors] "4xx: an error with the request"'),
    ResponseRule(first=500, kind=Deferred, code="provider_unavailable",
        source='[contract] 500; [errors] "while processing it"'),
    ResponseRule(first=503, kind=Deferred, code="provider_unavailable", source='[errors] 503 "The API is not available"'),
    # A gateway error means only that the gateway got no response; SendGrid may have accepted the message. The contract of
    # mail/send names no status above 500.
    ResponseRule(first=501, last=599, kind=Unknown, code="response_lost",
        source="RFC 9110 sections 15.6.3 (502) and 15.6.5 (504)"),
)
# fmt: on


def outcome_of(response: HttpResponse, now: datetime, *, was_sandbox: bool) -> Outcome:
    """Return the outcome of a send request: 202 is sent; 200 is validated and not queued (sandbox mode) [errors]."""
    if response.status == 202:
        return Sent(provider_id=response.headers.get("x-message-id"), reply=response.reply)
    if response.status == 200 and was_sandbox:
        return Sent(reply=response.reply)
    return outcome_by_rules(RULES, response, wait_seconds(response.headers, now))


def wait_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds to wait: Retry-After, or until X-RateLimit-Reset (epoch seconds; the rate-limits page)."""
    seconds = retry_after(headers, now)
    if seconds is not None:
        return seconds
    reset = headers.get("x-ratelimit-reset", "")
    is_spent = headers.get("x-ratelimit-remaining", "0").strip() == "0"
    return max(0.0, int(reset) - now.timestamp()) if _EPOCH_SECONDS.fullmatch(reset) and is_spent else None
