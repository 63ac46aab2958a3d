"""One-click unsubscription (RFC 8058) and topics. No module is loaded before a message or a call is about a topic."""
