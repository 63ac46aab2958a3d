"""Data types and pure decisions of Relay. Imports no other room."""
