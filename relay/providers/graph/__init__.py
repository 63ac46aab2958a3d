"""Exchange Online by Microsoft Graph."""
