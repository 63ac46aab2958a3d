"""Azure Storage: queues, tables and blobs over HTTP."""
