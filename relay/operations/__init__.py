"""The work of timers and operators: recovery, checks, purge, changes to messages, erasure, the doctor."""
