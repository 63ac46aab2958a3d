"""The ways out: routing rules, capabilities, holds, the circuit breaker and pacing."""
