"""Relay's own HTTP/1.1 client, which knows what of a request was sent: docs/decisions/0052-http-client.md."""
