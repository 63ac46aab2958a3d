"""Timers and operator actions: recovery, checks, purge, message changes, erasure, doctor."""
