"""Stand-ins of the vendors on loopback: real HTTP and SMTP, refusing what the vendors refuse.

`async with SendGridStandIn() as sendgrid:` gives `sendgrid.url`, `sendgrid.inbox` (what was accepted)
and `sendgrid.script` (the faults to show). `python -m standins` runs all of them in one process.
Not deployed with the function app.
"""
