"""Adapters to the infrastructure: storage, secrets, tokens, telemetry, environment, logs."""
