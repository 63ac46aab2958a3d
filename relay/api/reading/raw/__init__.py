"""Read finished RFC 5322 messages: their envelope, header and file names."""
