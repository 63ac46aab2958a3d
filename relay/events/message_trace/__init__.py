"""Read Exchange Online's message trace every minute: it reports what became of mail that a Graph route sent."""
