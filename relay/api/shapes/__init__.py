"""Request and response shapes: the types that JSON bodies are checked against and written from."""
