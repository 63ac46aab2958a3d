"""Count what the journal holds."""
