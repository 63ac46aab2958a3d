"""What a role may see of messages, and choose for them."""
