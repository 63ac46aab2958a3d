"""Deliver mail: from a queue entry through its record, a plan and an attempt to the settled record."""
