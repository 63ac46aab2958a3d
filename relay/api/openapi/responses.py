"""The shapes of responses and of SendGrid's bodies, as JSON Schema."""

from collections.abc import Mapping
from typing import Any

from relay.api.errors import ErrorView
from relay.api.sendgrid.shape import SendGridMail, SendGridStatus, SendGridStop
from relay.api.shapes.acceptance import AcceptedView, BatchErrorView, BatchResultView, ExplanationView
from relay.api.shapes.content import ContentView, InboxEmptiedView, InboxMailView, InboxPageView
from relay.api.shapes.json_schema import REFERENCE, schemas_of
from relay.api.shapes.messages import MessagePageView, MessageStateView, MessageView
from relay.api.shapes.operator import (
    CallerView,
    ClientListView,
    ClientView,
    DoctorView,
    HoldView,
    NewClientView,
    NewKeyView,
    OverviewView,
    ProbeView,
    RouteListView,
    RouteReleasedView,
)
from relay.api.shapes.recovery import (
    CauseListView,
    DeadLetterPageView,
    DiscardedView,
    ErasedView,
    LostResentView,
    RedrivenView,
)
from relay.api.shapes.resources import (
    PreviewView,
    SuppressionListView,
    SuppressionPageView,
    SuppressionsImportedView,
    SuppressionsSynchronizedView,
    SuppressionView,
    TemplateListView,
    TemplateVersionListView,
    TemplateView,
    UploadView,
    WebhookDeliveryPageView,
    WebhookDeliveryView,
    WebhookListView,
    WebhookView,
)
from relay.api.shapes.sendgrid import (
    SendGridBatchView,
    SendGridErrorsView,
    SendGridScheduledSendView,
    SendGridScopesView,
    SendGridStoppedView,
)
from relay.api.shapes.system import EventsTakenView, LivenessView, ReadinessView

type Schema = dict[str, Any]

SCHEMAS: Mapping[str, Schema] = {
    **schemas_of(
        SendGridMail,
        SendGridStatus,
        SendGridStop,
        ErrorView,
        AcceptedView,
        BatchErrorView,
        BatchResultView,
        ExplanationView,
        ContentView,
        InboxEmptiedView,
        InboxMailView,
        InboxPageView,
        MessagePageView,
        MessageStateView,
        MessageView,
        CallerView,
        ClientListView,
        ClientView,
        DoctorView,
        HoldView,
        NewClientView,
        NewKeyView,
        OverviewView,
        ProbeView,
        RouteListView,
        RouteReleasedView,
        CauseListView,
        DeadLetterPageView,
        DiscardedView,
        ErasedView,
        LostResentView,
        RedrivenView,
        PreviewView,
        SuppressionListView,
        SuppressionPageView,
        SuppressionView,
        SuppressionsImportedView,
        SuppressionsSynchronizedView,
        TemplateListView,
        TemplateVersionListView,
        TemplateView,
        UploadView,
        WebhookDeliveryPageView,
        WebhookDeliveryView,
        WebhookListView,
        WebhookView,
        SendGridBatchView,
        SendGridErrorsView,
        SendGridScheduledSendView,
        SendGridScopesView,
        SendGridStoppedView,
        EventsTakenView,
        LivenessView,
        ReadinessView,
    ),
    "SendGridScheduledSendList": {"type": "array", "items": {"$ref": f"{REFERENCE}SendGridScheduledSend"}},
    "Anything": {"type": "object"},
    "Events": {"oneOf": [{"type": "array", "items": {"type": "object"}}, {"type": "object"}]},
}
"""By the name that the documents have."""
