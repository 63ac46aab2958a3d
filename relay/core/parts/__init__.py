"""The parts of a message: their states, their history of attempts, and their turns."""
