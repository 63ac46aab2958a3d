"""SMTP with one client: the dialogue, arguments of commands, replies, and the content of a message."""
