"""Send, read and list a message with a client that openapi-python-client generated. Prints what came of it as JSON."""

import json
import sys

from relay_client.api.messages import get_message, list_messages, send_message  # type: ignore[import-not-found] # generated
from relay_client.client import AuthenticatedClient  # type: ignore[import-not-found] # generated
from relay_client.models import Accepted, Message, MessagePage, MessageRequest  # type: ignore[import-not-found] # generated

url, key = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key)
accepted = send_message.sync(
    client=client,
    body=MessageRequest(from_="shop@example.com", to="ada@example.net", subject="Hello", text="Hello, Ada."),
)
assert isinstance(accepted, Accepted)
message = get_message.sync(accepted.id, client=client)
assert isinstance(message, Message)
page = list_messages.sync(client=client, limit=1)
assert isinstance(page, MessagePage)
print(
    json.dumps(
        {
            "id": accepted.id,
            "read": message.id,
            "state": message.state.value,
            "listed": [each.id for each in page.value],
        }
    )
)
