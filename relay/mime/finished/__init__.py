"""Read finished mail as the text, HTML and files that it says."""
