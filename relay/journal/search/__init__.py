"""Find messages by sender, recipients, subject, tags and metadata."""
