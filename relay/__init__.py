"""Relay: a mail relay with no mail server in it."""
