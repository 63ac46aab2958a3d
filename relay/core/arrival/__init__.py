"""Whether mail arrived."""
