"""Accept mail: from a checked draft through policy to a durable queue entry."""
