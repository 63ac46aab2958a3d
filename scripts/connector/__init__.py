"""The custom connector for Power Automate, Power Apps and Logic Apps, made from the table of operations: `make docs` writes it.

The rules it follows: https://learn.microsoft.com/connectors/custom-connectors/connector-string-guidance and
https://learn.microsoft.com/connectors/custom-connectors/openapi-extensions
"""
