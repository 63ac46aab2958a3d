"""The OpenAPI document, generated from the operations table and the shapes."""
