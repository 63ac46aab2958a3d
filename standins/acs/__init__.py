"""A stand-in for Azure Communication Services Email."""
