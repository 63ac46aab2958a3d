"""Storage in memory with the semantics of Azure Storage, for tests."""
