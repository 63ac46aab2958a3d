"""The stand-in with the vendor's own client."""

import asyncio

import pytest
import sendgrid as vendor
from python_http_client.exceptions import (  # type: ignore[import-untyped] # no types published with it
    BadRequestsError,
    UnauthorizedError,
)
from sendgrid.helpers.mail import Mail

from standins.sendgrid.server import DEFAULT_KEY, SendGridStandIn


def post(url: str, key: str, mail: Mail) -> int:
    client = vendor.SendGridAPIClient(key, host=url)
    return int(client.send(mail).status_code)


async def test_vendors_client_understands_acceptance_and_refusal() -> None:
    good = Mail("relay@example.com", "ada@example.org", "hi", plain_text_content="hello")
    bad = Mail("relay@example.com", "ada@example.org", "hi")
    async with SendGridStandIn() as sendgrid:
        assert await asyncio.to_thread(post, sendgrid.url, DEFAULT_KEY, good) == 202
        with pytest.raises(UnauthorizedError) as unauthorized:
            await asyncio.to_thread(post, sendgrid.url, "SG.wrong", good)
        assert unauthorized.value.to_dict["errors"][0]["field"] is None
        with pytest.raises(BadRequestsError) as refused:
            await asyncio.to_thread(post, sendgrid.url, DEFAULT_KEY, bad)
        assert refused.value.to_dict["errors"][0]["field"] == "content"
        assert sendgrid.inbox.accepted == 1
