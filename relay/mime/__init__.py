"""Write and read mail as RFC 5322 and MIME define it."""
