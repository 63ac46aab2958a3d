"""Find messages by what they say: sender, recipients, subject, tags, metadata."""
