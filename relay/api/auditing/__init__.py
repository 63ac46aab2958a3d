"""The API's part of the audit log: recording calls."""
