"""The nouns and pure decisions of Relay. Imports nothing else of the project."""
