"""Benchmark Relay and its alternatives under the same load, in one run on one machine. See docs/performance.md."""
