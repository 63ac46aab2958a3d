"""Generate the custom connector for Power Automate, Power Apps and Logic Apps from the table of operations (`make docs`).

The rules it follows: https://learn.microsoft.com/connectors/custom-connectors/connector-string-guidance and
https://learn.microsoft.com/connectors/custom-connectors/openapi-extensions
"""
