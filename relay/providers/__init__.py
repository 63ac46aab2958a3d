"""The providers: one folder for each vendor, loaded when a route first uses it."""
