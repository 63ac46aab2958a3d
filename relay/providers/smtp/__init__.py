"""An SMTP smart host."""
