"""What becomes of the parts of a message: their states, what they remember, and whose turn it is."""
