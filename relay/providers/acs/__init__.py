"""Azure Communication Services Email."""
