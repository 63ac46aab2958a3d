"""Queue, table and blob storage: the ports, their Azure adapters and their in-memory doubles."""
