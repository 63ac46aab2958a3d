"""Explain the decision about a message, for `dry_run`."""

from relay.acceptance.policy import Verdict
from relay.api.shapes.acceptance import SuppressedView
from relay.api.shapes.messages import ExplanationView, RoutingView


def explanation_view(verdict: Verdict) -> ExplanationView:
    """Show the decision about a message, for `dry_run`."""
    message = verdict.submission.message
    recipients = () if message is None else message.recipients
    return ExplanationView(
        dry_run=True,
        lane=verdict.lane,
        size=verdict.submission.size,
        delivery=verdict.submission.delivery,
        expires_at=verdict.submission.expires_at,
        routing=[
            RoutingView(recipients=[recipients[number].email for number in leg.recipients], routes=leg.routes)
            for leg in verdict.legs
        ],
        suppressed=SuppressedView.of(verdict.submission.suppressed, recipients),
    )
