"""The arrival of sent mail, from reported events."""
