"""Suppressed addresses: after a bounce, a complaint, an unsubscription, or by hand. See docs/decisions/0021-suppressions.md."""
