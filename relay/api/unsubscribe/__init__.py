"""The pages behind unsubscribe links."""
