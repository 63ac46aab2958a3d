"""Store and read what is known of every message: records, pending work, dead letters, content and status."""
