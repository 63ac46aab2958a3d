"""The budget of external recipients that a tenant, a mailbox or a sender domain has: counted before mail is sent."""
