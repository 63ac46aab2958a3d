"""Run the app as Azure does: the worker library in a process of its own, called over gRPC."""
