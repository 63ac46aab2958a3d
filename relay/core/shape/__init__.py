"""Check JSON values against msgspec structs."""
