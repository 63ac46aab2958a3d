"""Write mail so that every program and server on its way can read and carry it."""
