"""Read incoming mail of a mailbox: bounce reports, and answers to Relay's mail."""
