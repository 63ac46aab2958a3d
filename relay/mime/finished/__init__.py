"""Read a finished message as text, HTML and files."""
