"""What is known of every message: records, pending work, dead letters, content and status."""
