"""SendGrid's v3 API, answered by Relay."""
