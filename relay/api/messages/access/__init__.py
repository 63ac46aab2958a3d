"""Limit the parts of messages that a role may see, and the values that it may choose."""
