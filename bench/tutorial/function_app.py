"""The result of the usual tutorial: one queue put per request, one call of the vendor's library per message.

The baseline of the comparison, built from the quickstarts of both vendors. Settings: AzureWebJobsStorage,
SENDGRID_API_KEY, SENDGRID_HOST.
"""

import contextlib
import json
import os
import uuid

import azure.functions as func
from azure.core.exceptions import ResourceExistsError
from azure.storage.queue.aio import QueueClient
from sendgrid import SendGridAPIClient
from sendgrid.helpers.mail import Mail

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
QUEUE = "outbound"
queue = QueueClient.from_connection_string(os.environ["AzureWebJobsStorage"], QUEUE)


@app.route(route="v1/messages", methods=["POST"])
async def send(req: func.HttpRequest) -> func.HttpResponse:
    """Put the request on the queue and return 202."""
    message = req.get_json()
    message["message_id"] = str(uuid.uuid4())
    await queue.send_message(json.dumps(message))
    return func.HttpResponse(json.dumps({"id": message["message_id"]}), status_code=202, mimetype="application/json")


@app.queue_trigger(arg_name="msg", queue_name=QUEUE, connection="AzureWebJobsStorage")
def deliver(msg: func.QueueMessage) -> None:
    """Send the message with SendGrid; after an error, the host retries."""
    message = msg.get_json()
    mail = Mail(
        from_email=message["from"],
        to_emails=message["to"],
        subject=message["subject"],
        plain_text_content=message["text"],
    )
    client = SendGridAPIClient(os.environ["SENDGRID_API_KEY"], host=os.environ["SENDGRID_HOST"])
    client.send(mail)


async def create_queue() -> None:
    """Create the queue, as the tutorial does in the portal."""
    with contextlib.suppress(ResourceExistsError):
        await queue.create_queue()
    await queue.close()
