"""Exchange Online's message trace: what became of mail that a Graph route sent, read in windows every minute."""
