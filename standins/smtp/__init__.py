"""A stand-in for an SMTP smart host."""
