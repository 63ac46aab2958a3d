"""A small local Azure Functions host on the genuine Python worker library. See README.md beside this file."""
