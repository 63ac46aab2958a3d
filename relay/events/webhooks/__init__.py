"""Telling callers what became of their mail: subscriptions, signed posts with retries over a day, a log of deliveries."""
