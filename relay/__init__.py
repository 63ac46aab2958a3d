"""Relay: a mail relay with no mail server in it."""

__version__ = "0.2.0"
