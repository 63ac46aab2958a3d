"""The HTTP API: requests and responses. Imported when the first request comes, never before."""
