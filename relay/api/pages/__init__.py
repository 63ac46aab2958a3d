"""Pages that people open: the landing page, the console, the inbox, the reference of the API, and unsubscribe links."""
