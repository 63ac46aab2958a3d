"""Decide which routes messages take, and hold routes at fault."""
