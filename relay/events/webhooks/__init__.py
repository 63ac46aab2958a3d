"""Use case 4: notify clients by webhook."""
