"""Commands about templates."""
