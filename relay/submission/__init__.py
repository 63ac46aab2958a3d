"""Accept mail by SMTP, and post each message to a relay. It has no queue and stores nothing."""
