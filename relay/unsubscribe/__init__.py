"""One-click unsubscription (RFC 8058) and topics. Nothing of it is loaded before a message or a call is about a topic."""
