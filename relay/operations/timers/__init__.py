"""The timers: their steps, runs at an operator's request, and recovery when a timer is late."""
