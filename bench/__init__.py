"""Measures Relay and what people use instead, under the same load, in one run on one machine. See docs/performance.md."""
