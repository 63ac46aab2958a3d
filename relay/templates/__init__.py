"""Stored templates: what keeps them, and what fills them in."""
