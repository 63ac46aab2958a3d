"""SendGrid's v3 API, implemented by Relay."""
