"""A client's resources: suppressions, templates, uploads, webhooks, the inbox; and the pages people open."""
