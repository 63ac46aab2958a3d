"""Clients and what belongs to them: keys, quotas, idempotency keys, suppressions, uploads, templates."""
