"""The doctor: checks settings, storage, providers and DNS, and explains each problem and its fix."""
