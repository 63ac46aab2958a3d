"""The timers: their steps, and what stands in for them."""
