"""The roads out: one module per provider, loaded when a route first uses it."""
