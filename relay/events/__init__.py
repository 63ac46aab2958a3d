"""Use cases 3 and 4: record provider events and bounces, and notify clients by webhook."""
