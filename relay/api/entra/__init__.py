"""People and applications that sign in with Microsoft Entra."""
