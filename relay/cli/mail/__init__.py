"""Accepts mail as sendmail or over SMTP, and posts it to a relay."""
