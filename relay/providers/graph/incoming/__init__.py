"""Read what comes to a mailbox: bounce reports, and answers to Relay's mail."""
