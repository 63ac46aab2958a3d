"""A client's resources: suppressions, templates, uploads, webhooks, the inbox."""
