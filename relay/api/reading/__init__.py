"""Read and check requests: JSON, batches, raw MIME, addresses, attachments."""
