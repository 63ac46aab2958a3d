"""The doctor: looks at everything a relay needs, and says what is wrong, why it matters and what mends it."""
