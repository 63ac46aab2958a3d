"""Who may call, and what belongs to a client: keys, quotas, idempotency keys, suppressions, uploads, templates."""
